"""Filling a lock: what the specs name is looked up, with the checkpoints that trusted publishers prepared of it; then each spec is
decided, and what its plan loads is recorded whole.

Floor 8."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

from generator.decide.decision import decide
from generator.errors import GenDeployError, InputError, Problem
from generator.facts.locked import catalogued, key_of, local_key
from generator.facts.model_names import understood
from generator.hub.lock import Lock, Repository
from generator.hub.lookup.client import Hub, Info
from generator.hub.lookup.repository import AT_ONCE, completed, of_checkpoint, of_model
from generator.hub.tensors import folded
from generator.readers.gguf_header import GgufHeader, read_gguf
from generator.readers.problems import in_order
from generator.readers.safetensors_header import read_index, read_safetensors
from generator.rulebook.book import RuleBook
from generator.spec.deployment import DeploymentSpec, is_path

MAX_CHECKPOINTS = 24
"""Repositories with prepared weights that are looked at for one model."""
_ROUNDS = 3
"""A header that has been read may change the choice; after as many rounds the last one is kept."""


@dataclass
class Filling:
    """One run. `fresh` asks again for what the lock has; `note` prints a line; `watched` hands specs on, and may say how far it is."""

    hub: Hub
    book: RuleBook
    lock: Lock
    fresh: bool = False
    note: Callable[[str], None] = print
    watched: Callable[[list[DeploymentSpec], str], Iterable[DeploymentSpec]] = lambda specs, what: specs
    _infos: dict[str, Info] = field(default_factory=dict)

    def fill(self, specs: Iterable[DeploymentSpec]) -> Lock:
        """The lock with all that these specs need; raises `InputError` with every model that cannot be had."""
        specs = [understood(spec, self.book) for spec in specs]
        problems: list[Problem] = []
        for spec in self.watched(specs, "models"):
            try:
                self._models(spec)
            except InputError as error:
                place = spec.document.place(("model",))
                problems += [problem._replace(place=problem.place or place) for problem in error.problems]
        if problems:
            raise InputError(in_order(problems))
        for spec in self.watched(specs, "weights"):
            self._chosen(spec)
        return self.lock

    def needed(self, specs: Iterable[DeploymentSpec]) -> set[str]:
        """The lock's keys of all that these specs may load."""
        keys = {key_of(spec.model, self.book) for spec in specs}
        named = {target.partition(":")[0] for spec in specs for target in spec.model.checkpoints.values()}
        models = {key.partition("@")[0] for key in keys}
        return keys | named | {name for name, one in self.lock.repositories.items() if one.weights and models & {*one.base_model}}

    def _models(self, spec: DeploymentSpec) -> None:
        """The repositories that a spec names, and those prepared from its model."""
        key = key_of(spec.model, self.book)
        name = key.partition("@")[0]
        own_files = spec.model.config or spec.model.gguf or spec.model.parameters
        if spec.model.elsewhere:
            self.note(f"{spec.name} loads from {spec.model.elsewhere}, which is not asked: planned from the catalogue, or from the files that the spec names")
            return
        if not is_path(name) and self._wants(key):
            try:
                info = self._info(key)
            except InputError as error:
                if not (own_files and error.problems[0].code == "hub-unknown"):
                    raise
                self.note(f"{name} is not on the hub: planned from the files that the spec names")
            else:
                self._put(key, of_model(self.hub, info))
                self._prepared(name)
        self._local(spec)
        for target in spec.model.checkpoints.values():
            named = target.partition(":")[0]
            if not is_path(named) and self._wants(named):
                found = of_checkpoint(self.hub, self._info(named), name, self.book)
                if found is not None:
                    self._put(named, found)

    def _local(self, spec: DeploymentSpec) -> None:
        """The headers of weights on this disk, for machines that do not have them."""
        found: dict[str, GgufHeader | tuple[str, ...]] = {}
        for key, written in (("gguf", spec.model.gguf), ("safetensors", spec.model.safetensors)):
            path = spec.named_file(("model", key), written) if written else None
            if path is not None and written is not None and path.exists():
                place = local_key(replace(spec, lock=self.lock), written)
                files = read_index(path).files if path.suffix == ".json" else (path.name,)
                found[place] = read_gguf(path) if key == "gguf" else folded(t for f in files for t in read_safetensors(path.with_name(f)))
        self.lock = replace(self.lock, local={**self.lock.local, **found})

    def _prepared(self, model: str) -> None:
        """The checkpoints of a model: those of the catalogue, and those that the hub links to it, from its maker and trusted publishers."""
        trusted = self.book.section("publishers")
        maker = model.partition("/")[0]
        ranked = {owner: rank for rank, owner in enumerate((maker, *trusted))}
        linked = [one for one in self.hub.prepared_from(model) if one.partition("/")[0] in ranked]
        wanted = list(dict.fromkeys([*catalogued(self.book, model), *sorted(linked, key=lambda one: ranked[one.partition("/")[0]])]))
        with ThreadPoolExecutor(AT_ONCE) as pool:
            found = pool.map(lambda one: self._checkpoint(one, model), wanted[:MAX_CHECKPOINTS])
        for name, entry in zip(wanted, found, strict=False):
            if isinstance(entry, str):
                self.note(f"left out: {entry}")
            elif entry is not None and name not in self.lock.repositories:
                self._put(name, entry)
            elif entry is not None:
                before = self.lock.repositories[name]
                self._put(name, entry if self.fresh else replace(before, base_model=tuple(sorted({*before.base_model, model}))))

    def _checkpoint(self, name: str, model: str) -> Repository | str | None:
        """The entry of a checkpoint, or why it is left out."""
        try:
            return of_checkpoint(self.hub, self._info(name), model, self.book)
        except InputError as error:
            if error.problems[0].code == "hub-unreachable":
                raise
            return error.problems[0].message

    def _chosen(self, spec: DeploymentSpec) -> None:
        """Record whole what the plan of a spec loads."""
        for _ in range(_ROUNDS):
            try:
                choice = decide(replace(spec, lock=self.lock), self.book).plan.choice
            except GenDeployError:
                return  # the main job says what is wrong
            entry = self.lock.repositories.get(choice.checkpoint) if choice is not None else None
            if choice is None or entry is None:
                return
            file = entry.weights[choice.method].file if choice.method in entry.weights else None
            if file in entry.gguf or (file is None and entry.files):
                return
            self._put(choice.checkpoint, completed(self.hub, self._info(choice.checkpoint, entry.commit), entry, file))

    def _wants(self, key: str) -> bool:
        return self.fresh or key not in self.lock.repositories

    def _info(self, key: str, commit: str | None = None) -> Info:
        name, _, revision = key.partition("@")
        if key not in self._infos:
            self._infos[key] = self.hub.info(name, commit or revision or None)
        return self._infos[key]

    def _put(self, key: str, entry: Repository) -> None:
        repositories: Mapping[str, Repository] = {**self.lock.repositories, key: entry}
        self.lock = replace(self.lock, repositories=repositories)

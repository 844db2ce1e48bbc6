"""Filling a lock: what the specs name is looked up, with the checkpoints that trusted publishers prepared of it; then each spec is
decided, and what its plan loads is recorded whole.

Floor 8. What a repository says is read by the readers that read local files: with budgets, and checked."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from generator.architecture.config import from_config
from generator.architecture.quantization import with_quant_file
from generator.decide.decision import decide
from generator.errors import GenDeployError, InputError, Place, Problem, fail
from generator.facts.locked import catalogued, key_of, local_key
from generator.facts.model import QUANT_FILE
from generator.facts.model_names import understood
from generator.hub.lock import Lock, LockedFile, Repository, Weights, folded
from generator.hub.lookup.client import Hub, Info
from generator.readers.document import decode
from generator.readers.gguf_header import GgufHeader, joined, read_gguf, read_gguf_part
from generator.readers.json_text import parse_object
from generator.readers.problems import in_order
from generator.readers.safetensors_header import MAX_SHARDS, SafetensorsTensor, read_index, read_safetensors
from generator.rulebook.book import RuleBook
from generator.spec.deployment import DeploymentSpec, is_path

AT_ONCE = 8
"""Requests at once; the hub's limits are counted over minutes."""

INDEX = "model.safetensors.index.json"
_LOADED = (".json", ".jinja", ".model", ".tiktoken", ".txt", ".py")
"""Endings of the files that engines load, beside weights."""
_NOT_LOADED = re.compile(r"(consolidated|params\.json|README|LICENSE|USE_POLICY|onnx|.*/)", re.IGNORECASE)
_PART = re.compile(r"-(\d{5})-of-(\d{5})(?=\.gguf\Z)")
_TOOLS = re.compile(r"\btools\b")
_THINKING = re.compile(r"<think>|enable_thinking|reasoning_content|thinking")


def of_model(hub: Hub, info: Info) -> Repository:
    """A repository that a plan loads as it is: config, template, and the groups of its tensors."""
    config = _json(hub, info, "config.json")
    if config is None and not any(name.endswith(".gguf") for name in info.files):
        raise fail("hub-no-model", f"{info.id} has no config.json: it is no model that an engine loads by this name")
    if config is None:
        base = f"; name the model that it was made of, {info.base_model[0]!r}, and pin its quantization" if info.base_model else ""
        raise fail("hub-no-model", f"{info.id} has only GGUF files and no config.json{base}")
    return completed(hub, info, replace(_entry(hub, info), config=config, quantization=_json(hub, info, QUANT_FILE)))


def of_checkpoint(hub: Hub, info: Info, model: str, book: RuleBook) -> Repository | None:
    """A repository with weights prepared from `model`: which methods, which sizes; None where it has none that the rules know."""
    bases = tuple(sorted({model, *info.base_model}))
    gguf, projectors = gguf_files(info.files, book.section("methods"))
    if gguf:
        return Repository(info.commit, info.licence, info.gated, bases, weights=gguf, projectors=projectors)
    config = _json(hub, info, "config.json")
    if config is None:
        return None
    whole = with_quant_file(config, _json(hub, info, QUANT_FILE))
    stored = from_config(whole, book.section("families"), Place(f"{info.id}/config.json")).quantization
    if stored is None or stored.method not in book.section("methods"):
        return None
    size = sum(info.files[name].size for name in weight_files(hub, info))
    found = Weights(stored.layout, size, None, stored.group_size, tuple(sorted(stored.keeps)))
    return Repository(info.commit, info.licence, info.gated, bases, weights={stored.method: found})


def completed(hub: Hub, info: Info, entry: Repository, file: str | None = None) -> Repository:
    """The entry of a repository that a plan loads, with its files and their tensors; `file` is the first file of a GGUF."""
    if file is not None:
        parts = parts_of(file, info.files)
        header = _gguf_header(hub, info, file, parts)
        projectors = {name: info.files[name] for name in entry.projectors if name in info.files}
        kept = {name: info.files[name] for name in parts}
        return replace(entry, files={**entry.files, **projectors, **kept}, gguf={**entry.gguf, file: header})
    shards = weight_files(hub, info)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        found = list(pool.map(lambda name: _tensors(hub, info, name), shards))
    loaded = {name: one for name, one in info.files.items() if name in shards or (name.endswith(_LOADED) and not _NOT_LOADED.match(name))}
    return replace(entry, files=loaded, tensors=folded(tensor for tensors in found for tensor in tensors))


def weight_files(hub: Hub, info: Info) -> tuple[str, ...]:
    """The safetensors files that engines load: those of the index, else those beside the config."""
    index = _json(hub, info, INDEX)
    listed = (index or {}).get("weight_map")
    if isinstance(listed, Mapping):
        files = sorted({str(name) for name in listed.values()})
        missing = next((name for name in files if name not in info.files), None)
        if missing is not None or len(files) > MAX_SHARDS:
            raise fail("hub-answer", f"{info.id}: {INDEX} names {(missing or 'too many files')[:120]!r}, which the repository lacks")
        return tuple(files)
    return tuple(sorted(n for n in info.files if n.endswith(".safetensors") and "/" not in n and not n.startswith("consolidated")))[:MAX_SHARDS]


def gguf_files(files: Mapping[str, LockedFile], methods: Mapping[str, object]) -> tuple[dict[str, Weights], dict[str, int]]:
    """The GGUF files of a repository by method, and its vision projectors with their bytes."""
    words = sorted((name.removeprefix("gguf-") for name in methods if name.startswith("gguf-")), key=len, reverse=True)
    finds = [(word, re.compile(rf"(?<![a-z0-9]){re.escape(word)}(?![a-z0-9_])")) for word in words]
    found: dict[str, Weights] = {}
    projectors: dict[str, int] = {}
    for name in sorted(files, key=lambda name: (len(name), name)):
        part = _PART.search(name)
        if not name.endswith(".gguf") or (part is not None and part[1] != "00001"):
            continue
        stem = PurePosixPath(name).name.removesuffix(".gguf").lower()
        if "mmproj" in stem:
            projectors[name] = files[name].size
            continue
        word = next((word for word, pattern in finds if pattern.search(stem)), None)
        if word is not None and f"gguf-{word}" not in found:
            size = sum(files[one].size for one in parts_of(name, files))
            found[f"gguf-{word}"] = Weights("gguf", size, name)
    return found, projectors


def parts_of(file: str, files: Mapping[str, LockedFile]) -> tuple[str, ...]:
    """All parts of a GGUF, given its first file."""
    part = _PART.search(file)
    if part is None:
        return (file,)
    names = tuple(_PART.sub(f"-{number:05}-of-{part[2]}", file) for number in range(1, min(int(part[2]), MAX_SHARDS) + 1))
    missing = next((name for name in names if name not in files), None)
    if missing is not None:
        raise fail("hub-answer", f"the repository lacks {missing!r}, a part of {file!r}")
    return names


def _entry(hub: Hub, info: Info) -> Repository:
    """Commit and licence, and what tokenizer and template decide."""
    tokenizer = _json(hub, info, "tokenizer_config.json") or {}
    config = _json(hub, info, "config.json") or {}
    template: object = tokenizer.get("chat_template")
    if "chat_template.jinja" in info.files:
        template = decode(hub.small(info, "chat_template.jinja"), f"{info.id}/chat_template.jinja")
    text = template if isinstance(template, str) else str(template or "")
    chat = [word for word, pattern in (("tools", _TOOLS), ("thinking", _THINKING)) if pattern.search(text)] if text else None
    code = "model" if "auto_map" in config else "tokenizer" if "auto_map" in tokenizer else ""
    return Repository(info.commit, info.licence, info.gated, tuple(sorted(info.base_model)), chat=None if chat is None else tuple(chat), remote_code=code)


def _json(hub: Hub, info: Info, file: str) -> Mapping[str, object] | None:
    if file not in info.files:
        return None
    name = f"{info.id}/{file}"
    return parse_object(decode(hub.small(info, file), name), name, constants=True)


def _tensors(hub: Hub, info: Info, file: str) -> tuple[SafetensorsTensor, ...]:
    name = f"{info.id}/{file}"
    with hub.opened(info, file) as opened:
        return read_safetensors(Path(name), name, opened)


def _gguf_header(hub: Hub, info: Info, file: str, parts: Sequence[str]) -> GgufHeader:
    headers = []
    for part in parts:
        name = f"{info.id}/{part}"
        with hub.opened(info, part) as opened:
            headers.append(read_gguf_part(Path(name), name, opened))
    return joined(file, headers) if len(headers) > 1 else headers[0]


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

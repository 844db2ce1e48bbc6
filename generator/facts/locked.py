"""What the lock says of a spec's model, in the form of a catalogue entry. Floor 3, pure. An entry of the lock goes before the catalogue's
for the same id: its config, its commit, and its checkpoints, so that only weights that somebody looked at are planned. What a hub cannot
say (parsers, purpose) comes from the catalogue: of the model itself, or of the one that it was made of."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, cast

from generator.architecture.config import from_config
from generator.architecture.gguf_tensors import folded
from generator.architecture.quantization import with_quant_file
from generator.architecture.shape import ModelArchitecture
from generator.errors import InputError, Place, fold
from generator.facts.model import Checkpoint, published
from generator.facts.model_names import understood
from generator.record import dataclass
from generator.rulebook.book import RuleBook
from generator.rulebook.memo import remembered
from generator.spec.deployment import DeploymentSpec, ModelRequest

if TYPE_CHECKING:  # every start would pay for building the types
    from generator.hub.lock import Lock, Repository, Weights
    from generator.rulebook.sections import Model as Entry

_INHERITED = ("family", "tags", "tool_call_parser", "reasoning_parser", "tokenizer_mode", "min_version")
"""What a model has from the one that it was made of: the same format of turns, by the same classes."""

_SPOKEN = {"tools": "tool_call_parser", "thinking": "reasoning_parser"}
"""What a chat template knows of, and the parser that is of no use without it."""


@dataclass(frozen=True, slots=True)
class Locked:
    """A model as the lock has it: its entry as a catalogue would have it, its architecture with exact bytes, its checkpoints by method."""

    entry: Entry
    architecture: ModelArchitecture
    checkpoints: Mapping[str, tuple[Checkpoint, ...]]
    licence: str | None


def key_of(request: ModelRequest, book: RuleBook) -> str:
    """The lock's key of a model: the catalogue's spelling of its id, and the revision where the spec names one of that repository."""
    name = book.index("models").get(fold(request.id), request.id)
    return f"{name}@{request.revision}" if request.revision and not request.form else name


def unknown(spec: DeploymentSpec, book: RuleBook) -> bool:
    """Whether a spec's model is in neither catalogue nor lock, and no file of its own stands for it."""
    try:
        model = understood(spec, book).model
    except InputError:
        return False  # the decision says what is wrong
    key = key_of(model, book)
    given = model.config or model.gguf or model.parameters or model.elsewhere or model.path
    listed = key.partition("@")[0] in book.section("models") or (spec.lock is not None and key in spec.lock.repositories)
    return not given and not listed and not book.fallback("model")


def locked_of(spec: DeploymentSpec, listed: Entry, book: RuleBook) -> Locked | None:
    """What the lock says of a spec's model; None where it does not have it. `listed` is the catalogue's entry (empty: it has none)."""
    key, lock = key_of(spec.model, book), spec.lock
    found = lock.repositories.get(key) if lock is not None else None
    return None if lock is None or found is None else _locked(found, key.partition("@")[0], lock, listed, book)


def _locked(found: Repository, name: str, lock: Lock, listed: Entry, book: RuleBook) -> Locked:
    from generator.hub.lock import bytes_of  # imported lazily: many specs have no lock

    models, place = book.section("models"), Place(str(lock.path))
    base = next((models[one] for one in found.base_model if one in models), cast("Entry", {}))
    known: Any = {key: value for key, value in base.items() if key in _INHERITED} | dict(listed)
    config = with_quant_file(found.config or {}, found.quantization)
    entry = {
        "trust_remote_code": "tokenizer" if found.remote_code == "tokenizer" else bool(found.remote_code), **known,
        "config": config, "revision": found.commit, "gated": bool(found.gated), "chat": found.chat is not None or bool(listed.get("chat")),
    }  # fmt: skip
    if not listed and found.chat is not None:  # of a model that the catalogue does not know, the template says what it can do
        entry |= {parser: {} for word, parser in _SPOKEN.items() if word not in found.chat}
    architecture = from_config(config, book.section("families"), place)
    exact = replace(architecture, tensor_bytes=bytes_of(found.tensors, place))
    return Locked(cast("Entry", entry), exact, checkpoints_of(name, lock, architecture.layers, book), found.licence)


def checkpoints_of(model: str, lock: Lock, layers: int, book: RuleBook) -> dict[str, tuple[Checkpoint, ...]]:
    """The checkpoints that the lock has of a model of so many layers, by method, best first: in the catalogue's order, then in that of
    trusted publishers."""
    maker = model.partition("/")[0]
    listed = published(book.section("models").get(model) or {})
    order = {name: rank for rank, name in enumerate([*(one.id for several in listed.values() for one in several)])}
    owners = {owner: rank for rank, owner in enumerate((maker, *book.section("publishers")))}
    found: dict[str, list[Checkpoint]] = {}

    def place(made: tuple[str, Repository]) -> tuple[int, int, str]:
        name = made[0]
        return order.get(name, len(order)), owners.get(name.partition("/")[0], len(owners)), name

    for name, one in sorted(lock.made_of(model), key=place):
        for method, weights in one.weights.items():
            known = next((c for c in listed.get(method, ()) if c.id == name), None)
            found.setdefault(method, []).append(_checkpoint(name, one, weights, known, layers))
    return {method: tuple(several) for method, several in found.items()}


def _checkpoint(name: str, one: Repository, weights: Weights, known: Checkpoint | None, layers: int) -> Checkpoint:
    made = known or Checkpoint(name, "published", weights.layout, weights.group_size, None, None, {}, weights.ignore, (), 0, name.partition("/")[0])
    header = one.gguf.get(weights.file or "")
    tensors = folded(header.tensors, layers) if header is not None else ()
    # of files with the vision tower the one in float16 or bfloat16, where there is one, as llama.cpp itself prefers
    projector = min(one.projectors.items(), key=lambda found: ("f16" not in found[0].lower(), found[1]), default=None)
    return replace(made, file=weights.file or made.file, size=weights.bytes, exact=True, revision=one.commit, tensors=tensors, projector=projector)


@remembered
def catalogued(book: RuleBook, model: str) -> tuple[str, ...]:
    """The repositories with prepared weights that the catalogue lists for a model."""
    several = published(book.section("models").get(model) or {}).values()
    return tuple(dict.fromkeys(one.id.partition(":")[0] for listed in several for one in listed))


def local_key(spec: DeploymentSpec, written: str) -> str:
    """The lock's key of a local file: its path from the lock's folder."""
    base = spec.lock.path.parent if spec.lock is not None and spec.lock.path is not None else spec.folder
    return PurePath(os.path.relpath(spec.folder / written, base)).as_posix()

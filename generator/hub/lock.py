"""The lock `gen-deploy.lock`: what a model hub said of the repositories that specs name, so that nobody has to ask it again.

Floor 2; reads only the lock. It is JSON, sorted, one entry a repository, written for review in a pull request; a checkout that
brings one may be hostile, so each part is checked for its type and size when it is read.

A checkpoint has thousands of tensors of a dozen kinds: the lock has one line for each group of equal ones, which counts those that differ
in numbers of their names only: `36 × BF16 [12288, 4096] model.layers.*.mlp.up_proj.weight`. Of a GGUF it says the layers too, since the
sizing needs them: `q4_K [4096, 12288] blk.0-3,8.ffn_up.weight`."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import field, replace
from functools import lru_cache
from math import prod
from pathlib import Path
from types import MappingProxyType
from typing import Any

from generator.errors import Place, fail
from generator.quantity import ranges
from generator.readers.document import decode, read_bytes
from generator.readers.gguf_header import MAX_TENSORS, GgufArray, GgufHeader, GgufTensor, Value, split_name
from generator.readers.json_text import parse_object
from generator.readers.resources import shipped
from generator.readers.safetensors_header import DTYPE_BITS, SafetensorsTensor
from generator.record import dataclass
from generator.rulebook.schemas import Schema, accepts, schema

MAX_GROUPS = 5_000
_NUMBER = re.compile(r"(?<![^.])\d+(?![^.])")
_GROUP = re.compile(
    r"(?:(?P<count>\d{1,7}) × )?(?P<type>\w{1,16}) \[(?P<shape>[\d, ]{0,120})\] (?:blk\.(?P<layers>[\d,-]{1,400})\.)?(?P<name>\S.{0,400})"
)


def folded(tensors: Iterable[SafetensorsTensor]) -> tuple[str, ...]:
    """The groups of a safetensors checkpoint, sorted by name."""
    groups = Counter((_NUMBER.sub("*", t.name), t.dtype, t.shape) for t in tensors)
    return tuple(f"{count} × {dtype} {list(shape)} {name}" for (name, dtype, shape), count in sorted(groups.items()))


def bytes_of(groups: Sequence[str], place: Place) -> int:
    """Bytes of all tensors of the groups; raises `InputError` for a line that is not one."""
    found = _groups(groups, DTYPE_BITS, place)
    return sum(int(group["count"] or 1) * -(-prod(shape) * DTYPE_BITS[group["type"]] // 8) for group, shape in found)


def _groups(groups: Sequence[str], types: Collection[str], place: Place) -> Iterator[tuple[re.Match[str], tuple[int, ...]]]:
    for line in groups[:MAX_GROUPS]:
        found = _GROUP.fullmatch(line)
        if found is None or found["type"] not in types:
            raise fail("bad-lock", f"{line[:80]!r} is not a group of tensors", place)
        yield found, tuple(int(number[:18]) for number in found["shape"].replace(" ", "").split(",") if number)


def gguf_folded(tensors: Iterable[GgufTensor]) -> tuple[str, ...]:
    """The groups of a GGUF file, sorted by name, each with its layers."""
    groups: dict[tuple[str, str, tuple[int, ...]], list[int]] = {}
    for tensor in tensors:
        layer, name = split_name(tensor.name)
        groups.setdefault((name, tensor.type, tensor.shape), []).extend([] if layer is None else [layer])
    return tuple(
        f"{kind} {list(shape)} {f'blk.{ranges(layers)}.' if layers else ''}{name}" for (name, kind, shape), layers in sorted(groups.items())
    )


def gguf_unfolded(groups: Sequence[str], place: Place) -> tuple[GgufTensor, ...]:
    """The tensors of the groups; raises `InputError` for a line that is not one, and for more tensors than a file may have."""
    found: list[GgufTensor] = []
    blocks = {name: (values, size) for name, values, size in shipped("gguf.json")["tensor_types"].values()}
    for group, shape in _groups(groups, blocks, place):
        values, size = blocks[group["type"]]
        names = [f"blk.{layer}.{group['name']}" for layer in _layers(group["layers"], place)] if group["layers"] else [group["name"]]
        found += [GgufTensor(name, shape, group["type"], prod(shape) // values * size) for name in names]
        if len(found) > MAX_TENSORS:
            raise fail("bad-lock", f"more than {MAX_TENSORS} tensors", place)
    return tuple(found)


def _layers(text: str, place: Place) -> Iterator[int]:
    for part in text.split(","):
        first, _, last = part.partition("-")
        low, high = int(first or 0), int(last or first or 0)
        if not low <= high < MAX_TENSORS:
            raise fail("bad-lock", f"{part!r} is not a range of layers", place)
        yield from range(low, high + 1)


VERSION = 1
MAX_LOCK_BYTES = 16 << 20
MAX_VALUES = 4_000_000
MAX_BYTES = 1 << 50


@dataclass(frozen=True, slots=True)
class LockedFile:
    """A file of a repository: its bytes, and its digest (SHA-256 of weights, git's SHA-1 of small files)."""

    size: int
    digest: str


@dataclass(frozen=True, slots=True)
class Weights:
    """A model's weights as one repository has them in one method; `bytes` are of the files, `file` names the first of a GGUF."""

    layout: str
    bytes: int
    file: str | None = None
    group_size: int | None = None
    ignore: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Repository:
    """One repository at one commit.

    `gated` is empty, `auto` or `manual`; `base_model` names what its weights were prepared from, and `weights` those by method (empty for
    a model's own repository). `config` is its config.json (None: not read, or none), `quantization` its hf_quant_config.json. `chat` lists
    what its chat template knows of (`tools`, `thinking`; None: it has none, or nobody looked). `files` and `tensors` (groups, see
    `hub.tensors`) stand where a plan loads the repository, `gguf` the headers of the GGUF files that a plan loads, by the first file's name.
    `projectors` are the files with a vision tower for GGUF."""

    commit: str
    licence: str | None = None
    gated: str = ""
    base_model: tuple[str, ...] = ()
    remote_code: str = ""
    chat: tuple[str, ...] | None = None
    weights: Mapping[str, Weights] = field(default_factory=dict)
    projectors: Mapping[str, int] = field(default_factory=dict)
    files: Mapping[str, LockedFile] = field(default_factory=dict)
    config: Mapping[str, object] | None = None
    quantization: Mapping[str, object] | None = None
    tensors: tuple[str, ...] = ()
    gguf: Mapping[str, GgufHeader] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Choice:
    """What was chosen for a spec: `question` is the digest of the spec that it answers, `image` what a container runs (None: none is known).

    `decision` is the candidate by the names that pins have, `settings` those of it that were fitted."""

    question: str
    image: str | None
    decision: Mapping[str, str | int]
    settings: Mapping[str, str | int | float | bool]


@dataclass(frozen=True, slots=True)
class Lock:
    """Repositories by id, the headers of local weights by their path as a spec writes it, and what was chosen for each spec by its name."""

    repositories: Mapping[str, Repository] = field(default_factory=dict)
    local: Mapping[str, GgufHeader | tuple[str, ...]] = field(default_factory=dict)
    choices: Mapping[str, Choice] = field(default_factory=dict)
    path: Path | None = None

    def made_of(self, model: str) -> list[tuple[str, Repository]]:
        """The repositories with weights prepared from a model, in the lock's order."""
        entries = self.repositories
        named = entries.naming(model) if isinstance(entries, _Entries) else list(entries)
        return [(name, entries[name]) for name in named if model in entries[name].base_model and entries[name].weights]

    def merged(self, other: Lock) -> Lock:
        """Both; of an entry in both, the other's."""
        local, choices = {**self.local, **other.local}, {**self.choices, **other.choices}
        return replace(self, repositories={**self.repositories, **other.repositories}, local=local, choices=choices)


EMPTY = Lock()


def entries_of(lock: Lock | None, model: str, spec: str) -> bytes:
    """What a lock says of a model, its checkpoints and the choice for a spec, to see whether it changed; all of it, where the name is an alias."""
    entries = {} if lock is None else dict(lock.repositories)
    mine = {name: one for name, one in entries.items() if name.partition("@")[0] == model or model in one.base_model}
    return repr((mine or entries, lock.local if lock is not None else None, lock.choices.get(spec) if lock is not None else None)).encode()


def read_lock(path: Path, name: str | None = None) -> Lock:
    """The lock of a file; raises `InputError` (`bad-lock`, and what a JSON text can be) for one that cannot be read."""
    return _parsed(read_bytes(path, MAX_LOCK_BYTES, name), name or str(path), path)


@lru_cache(8)
def _parsed(raw: bytes, name: str, path: Path) -> Lock:
    """Remembered by content: each spec of a run has the same lock."""
    if raw.lstrip()[:1] != b"{" or b"<<<<<<<" in raw:
        raise fail("bad-lock", "the lock is not JSON (a merge conflict?): resolve it, or delete the file and run `gen-deploy lock`", Place(name))
    data = parse_object(decode(raw, name), name, MAX_VALUES, constants=True)
    if data.get("version") != VERSION:
        raise fail("bad-lock", f"the lock has the version {data.get('version')!r}; this gen-deploy reads version {VERSION}", Place(name))
    parts = {part: _checked({"type": "object"}, data.get(part, {}), name, part) for part in ("repositories", "local", "choices")}
    forms = {part: schema("lock")["properties"][part]["additionalProperties"] for part in ("local", "choices")}
    checked = {part: {key: _checked(form, one, name, key) for key, one in parts[part].items()} for part, form in forms.items()}
    local = {key: _header(one, name, key) if "metadata" in one else tuple(one["tensors"]) for key, one in checked["local"].items()}
    choices = {key: Choice(**{"question": "", "image": None, **one}) for key, one in checked["choices"].items()}
    return Lock(_Entries(parts["repositories"], name), MappingProxyType(local), MappingProxyType(choices), path)


def _checked(form: Schema, data: object, name: str, key: str) -> Mapping[str, Any]:
    """An entry of the form that the schema says; raises `InputError` (`bad-lock`) for another."""
    if not accepts(form, data):
        raise fail("bad-lock", f"{key[:120]!r} is not of the form that `gen-deploy lock` writes (`gen-deploy schema lock`)", Place(name))
    assert isinstance(data, dict)
    return data


class _Entries(Mapping[str, Repository]):
    """The repositories of a lock, each read when it is asked for: a plan needs a few of hundreds."""

    def __init__(self, data: Mapping[str, object], name: str) -> None:
        self._data, self._name = data, name
        self._read: dict[str, Repository] = {}

    def __getitem__(self, key: str) -> Repository:
        if key not in self._read:
            form = schema("lock")["properties"]["repositories"]["additionalProperties"]
            self._read[key] = _repository(_checked(form, self._data[key], self._name, key), self._name)
        return self._read[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._data)

    def __len__(self) -> int:
        return len(self._data)

    def naming(self, model: str) -> list[str]:
        """The entries that name a model as what they were made of."""
        listed = ((key, one.get("base_model")) for key, one in self._data.items() if isinstance(one, dict))
        return [key for key, bases in listed if isinstance(bases, list) and model in bases]


def _repository(data: Mapping[str, Any], name: str) -> Repository:
    weights = {method: Weights(**{**one, "ignore": tuple(one.get("ignore", ()))}) for method, one in data.get("weights", {}).items()}
    read = {
        "files": {file: LockedFile(*one) for file, one in data.get("files", {}).items()}, "weights": weights,
        "gguf": {file: _header(one, name, file) for file, one in data.get("gguf", {}).items()},
    }  # fmt: skip
    texts = {key: tuple(data[key]) for key in ("base_model", "chat", "tensors") if key in data}
    return Repository(**{**data, **texts, **read})


def _header(data: Mapping[str, Any], name: str, file: str) -> GgufHeader:
    """A header from its groups of tensors; an array of the metadata is its length, or its numbers."""
    from generator.hub.lock import gguf_unfolded  # imported lazily: few plans load a GGUF of a lock

    def value(one: Any) -> Value:
        if isinstance(one, list):
            return GgufArray(len(one), tuple(one))
        return GgufArray(one["count"]) if isinstance(one, dict) else one

    metadata = {key: value(one) for key, one in data["metadata"].items()}
    return GgufHeader(file, 3, MappingProxyType(metadata), gguf_unfolded(data["tensors"], Place(name)))


def text_of(lock: Lock) -> str:
    """The lock as it is written: sorted, a line for each file, group of tensors and key of a config."""
    local = {name: _plain(one) if isinstance(one, GgufHeader) else {"tensors": list(one)} for name, one in lock.local.items()}
    data = {"version": VERSION, "repositories": _plain(lock.repositories), "local": _plain(local), "choices": _plain(lock.choices)}
    return "\n".join(_lines({key: value for key, value in data.items() if value})) + "\n"


def _plain(thing: object) -> object:
    """A part of the lock as JSON: mappings sorted, of the classes the fields that say something."""
    match thing:
        case LockedFile(size, digest):
            return [size, digest]
        case GgufHeader():
            from generator.hub.lock import gguf_folded

            metadata = {key: value for key, value in thing.metadata.items() if not key.startswith("tokenizer.chat_template")}
            return {"metadata": _plain(metadata), "tensors": list(gguf_folded(thing.tensors))}
        case GgufArray():
            return {"count": thing.count} if thing.items is None else list(thing.items)
        case Choice():  # in the order of the plan
            return {name: value for name in Choice.__slots__ if (value := getattr(thing, name))}
        case Repository() | Weights():
            said = ((name, getattr(thing, name)) for name in type(thing).__slots__)
            return {name: _plain(value) for name, value in said if value or (name == "chat" and value is not None)}
        case Mapping():
            return {key: _plain(value) for key, value in sorted(thing.items())}
        case tuple():
            return list(thing)
        case _:
            return thing


_OPEN = (
    "", "repositories", "local", "choices", "files", "config", "quantization", "tensors", "weights", "projectors", "gguf", "metadata", "decision", "settings",
)  # fmt: skip
"""Keys whose parts have a line of their own; all other values stand on one line."""


def _lines(data: object, key: str = "", depth: int = 0, comma: str = "") -> list[str]:
    """Pretty JSON that opens only the keys of `_OPEN`."""
    pad = " " * depth
    head = f"{pad}{json.dumps(key, ensure_ascii=False)}: " if depth else pad
    opened = isinstance(data, dict | list) and data and (key in _OPEN or depth == 2)
    if not opened:
        return [f"{head}{json.dumps(data, ensure_ascii=False, sort_keys=True)}{comma}"]
    if isinstance(data, list):
        inner = [f"{pad} {json.dumps(one, ensure_ascii=False)}{',' if i + 1 < len(data) else ''}" for i, one in enumerate(data)]
        return [f"{head}[", *inner, f"{pad}]{comma}"]
    assert isinstance(data, dict)
    body = [line for i, (name, value) in enumerate(data.items()) for line in _lines(value, name, depth + 1, "," if i + 1 < len(data) else "")]
    return [f"{head}{{", *body, f"{pad}}}{comma}"]

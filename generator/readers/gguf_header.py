"""The header of a GGUF file: metadata and the table of tensors. The weights are never read.

Floor 0. Layout: magic, version, two counts, key-value pairs, tensor records, padding, data (docs/gguf.md of
ggml-org/ggml). All counts and sizes in the header are checked against budgets and the file's size before use."""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path
from types import MappingProxyType

from generator.errors import Place, fail
from generator.quantity import ceil_to
from generator.readers.binary import MAX_HEADER_BYTES, Opened, Reader
from generator.readers.resources import shipped
from generator.record import dataclass

MAX_PAIRS = 4096
MAX_TENSORS = 65_536
MAX_ITEMS = 4 << 20
MAX_KEPT_ITEMS = 4096
MAX_NAME_BYTES = 1024
MAX_TEXT_BYTES = 1 << 20
MAX_PARTS = 1000

_U32, _U64 = struct.Struct("<I"), struct.Struct("<Q")
_STRING, _ARRAY = 8, 9
_NUMBERS = {number: struct.Struct(f"<{letter}") for number, letter in zip((0, 1, 2, 3, 4, 5, 6, 7, 10, 11, 12), "BbHhIif?Qqd", strict=True)}
"""The form of a value by its type's number."""

_BLOCK = re.compile(r"blk\.(\d{1,6})\.(.+)")
_PART = re.compile(r"(?P<stem>.*)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf\Z", re.DOTALL)


@dataclass(frozen=True, slots=True)
class GgufArray:
    """A metadata array: its length, and its items if they are few and not strings (else None)."""

    count: int
    items: tuple[int | float | bool, ...] | None = None


Value = int | float | bool | str | GgufArray


@dataclass(frozen=True, slots=True)
class GgufTensor:
    """One tensor: `shape` as ggml counts (row length first), `type` such as `q4_K`, `size` in bytes."""

    name: str
    shape: tuple[int, ...]
    type: str
    size: int


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """The header of a GGUF file; for a split file, the tensors of all parts and the first part's metadata."""

    name: str
    version: int
    metadata: Mapping[str, Value]
    tensors: tuple[GgufTensor, ...]
    parts: int = 1

    @property
    def tensor_bytes(self) -> int:
        """Bytes of all tensors, without the padding between them."""
        return sum(t.size for t in self.tensors)


def split_name(name: str) -> tuple[int | None, str]:
    """`blk.3.attn_q.weight` as (3, `attn_q.weight`); tensors outside the layers have None."""
    found = _BLOCK.fullmatch(name)
    return (int(found[1]), found[2]) if found else (None, name)


def read_gguf(path: Path, name: str | None = None) -> GgufHeader:
    """The header of a GGUF file and, for a split file, of all parts in its folder.

    Raises `InputError`: `not-gguf`, `gguf-version`, `truncated`, `too-large`, `gguf-corrupt`, `unknown-ggml-type`,
    `gguf-part-missing`, `unreadable`."""
    name = name or str(path)
    header = read_gguf_part(path, name)
    count = header.metadata.get("split.count", 0)
    if not isinstance(count, int) or count <= 1:
        return header
    return _read_parts(path, name, header, count)


def _read_parts(path: Path, name: str, header: GgufHeader, count: int) -> GgufHeader:
    found = _PART.match(path.name)
    if count > MAX_PARTS:
        raise fail("too-large", f"{count} parts; at most {MAX_PARTS} are supported", Place(name))
    if found is None or int(found["count"]) != count:
        message = f"the file is one of {count} parts, so its name must end in -00001-of-{count:05}.gguf"
        raise fail("gguf-part-missing", message, Place(name))
    shown = name[: -len(path.name)] if name.endswith(path.name) else ""
    parts = []
    for number in range(1, count + 1):
        file = f"{found['stem']}-{number:05}-of-{count:05}.gguf"
        beside = path.with_name(file)
        if not beside.exists():
            message = f"part {number} of {count} is missing: {file} is not in the same folder"
            raise fail("gguf-part-missing", message, Place(name))
        parts.append(header if number == int(found["number"]) else read_gguf_part(beside, shown + file))
    return joined(name, parts)


def joined(name: str, parts: Sequence[GgufHeader]) -> GgufHeader:
    """The header of a file that was split into these parts, in their order; raises `InputError` (`gguf-corrupt`) if they are not its parts."""
    count = len(parts)
    for number, part in enumerate(parts, 1):
        if part.metadata.get("split.no", 0) != number - 1 or part.metadata.get("split.count", 1) != count:
            raise fail("gguf-corrupt", f"its metadata does not identify it as part {number} of {count}", Place(part.name))
    tensors = tuple(t for part in parts for t in part.tensors)
    if len({t.name for t in tensors}) != len(tensors):
        raise fail("gguf-corrupt", "two parts contain a tensor with the same name", Place(name))
    told = parts[0].metadata.get("split.tensors.count", len(tensors))
    if told != len(tensors):
        raise fail("gguf-corrupt", f"the parts contain {len(tensors)} tensors, not {told} as declared", Place(name))
    return GgufHeader(name, parts[0].version, parts[0].metadata, tensors, count)


def read_gguf_part(path: Path, name: str, opened: Opened | None = None) -> GgufHeader:
    """The header of one file (`opened`: of one that is elsewhere), which may be a part of several; raises as `read_gguf` does."""
    with Reader(path, name, MAX_HEADER_BYTES, opened) as reader:
        if reader.size < 4 or reader.take(4) != b"GGUF":
            raise reader.error("not-gguf", "not a GGUF file: it does not begin with 'GGUF'")
        version = _count(reader, _U32)
        if version not in (2, 3):
            swapped = version and not version & 0xFFFF
            said = "big-endian files are not supported" if swapped else f"version {version}; versions 2 and 3 are supported"
            raise reader.error("gguf-version", said)
        tensors = _bounded(reader, "tensors", MAX_TENSORS)
        pairs = _bounded(reader, "metadata pairs", MAX_PAIRS)
        metadata: dict[str, Value] = {}
        for _ in range(pairs):
            key = _name(reader)
            if key in metadata:
                raise reader.error("gguf-corrupt", f"the key {key!r} appears twice")
            metadata[key] = _value(reader, key)
        alignment = metadata.get("general.alignment", 32)
        if not isinstance(alignment, int) or not 8 <= alignment <= 1 << 16 or alignment % 8:
            raise reader.error("gguf-corrupt", f"invalid alignment {alignment!r}")
        return GgufHeader(name, version, MappingProxyType(metadata), _tensors(reader, tensors, alignment))


def _count(reader: Reader, form: struct.Struct = _U64) -> int:
    return int(reader.number(form))


def _bounded(reader: Reader, what: str, most: int) -> int:
    count = _count(reader)
    if count > most:
        raise reader.error("too-large", f"{count} {what}; at most {most} are supported")
    return count


def _text(reader: Reader, most: int) -> bytes:
    size = _count(reader)
    if size > most:
        raise reader.error("too-large", f"a text of {size} bytes; at most {most} are supported")
    return reader.take(size)


def _name(reader: Reader) -> str:
    raw = _text(reader, MAX_NAME_BYTES)
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise reader.error("gguf-corrupt", "a name is not valid UTF-8") from None


def _value(reader: Reader, key: str) -> Value:
    kind = _count(reader, _U32)
    if kind == _STRING:
        return _text(reader, MAX_TEXT_BYTES).decode(errors="replace")
    if kind == _ARRAY:
        return _array(reader, key)
    return reader.number(_form(reader, key, kind))


def _form(reader: Reader, key: str, kind: int) -> struct.Struct:
    form = _NUMBERS.get(kind)
    if form is None:
        what = "an array within an array" if kind == _ARRAY else f"of the unknown type {kind}"
        raise reader.error("gguf-corrupt", f"the value of {key!r} is {what}")
    return form


def _array(reader: Reader, key: str) -> GgufArray:
    kind = _count(reader, _U32)
    count = _bounded(reader, f"items of {key!r}", MAX_ITEMS)
    if kind == _STRING:
        reader.skip_strings(count)
        return GgufArray(count)
    form = _form(reader, key, kind)
    if count > MAX_KEPT_ITEMS:
        reader.skip(count * form.size)
        return GgufArray(count)
    items = tuple(item for (item,) in form.iter_unpack(reader.take(count * form.size)))
    return GgufArray(count, items)


def _tensors(reader: Reader, count: int, alignment: int) -> tuple[GgufTensor, ...]:
    tensors: list[GgufTensor] = []
    types = shipped("gguf.json")["tensor_types"]
    spans: list[tuple[int, int]] = []
    for _ in range(count):
        name = _name(reader)
        dimensions = _count(reader, _U32)
        if not 1 <= dimensions <= 4:
            raise reader.error("gguf-corrupt", f"the tensor {name!r} has {dimensions} dimensions")
        shape = tuple(_count(reader) for _ in range(dimensions))
        kind = str(_count(reader, _U32))
        offset = _count(reader)
        if kind not in types:
            raise reader.error("unknown-ggml-type", f"the tensor {name!r} has the unknown type {kind}")
        type_name, block, block_bytes = types[kind]
        values = prod(shape)
        if not values or values >= 1 << 63 or shape[0] % block:
            raise reader.error("gguf-corrupt", f"the tensor {name!r} has the shape {shape} and the type {type_name}")
        size = values // block * block_bytes
        if offset % alignment:
            raise reader.error("gguf-corrupt", f"the tensor {name!r} is not aligned")
        tensors.append(GgufTensor(name, shape, type_name, size))
        spans.append((offset, offset + size))
    if len({t.name for t in tensors}) != count:
        raise reader.error("gguf-corrupt", "two tensors have the same name")
    reader.check_spans(spans, ceil_to(reader.position, alignment), "gguf-corrupt", gaps=True)
    return tuple(tensors)

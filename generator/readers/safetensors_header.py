"""The header of a safetensors file, and the index of a sharded model: exact bytes by tensor.

Floor 0. Layout: a 64-bit length, that many bytes of JSON, the data (README of huggingface/safetensors, which also defines
the length limit). Sizes are checked against types, shapes and the file size; weights are never read."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import TypeGuard

from generator.errors import Place, fail
from generator.readers.binary import MAX_HEADER_BYTES, Opened, Reader
from generator.readers.document import decode, read_bytes
from generator.readers.json_text import parse_object
from generator.record import dataclass

MAX_INDEX_BYTES = 64 << 20
MAX_TENSORS = 1 << 20
MAX_VALUES = 24 * MAX_TENSORS
MAX_SHARDS = 2000

_U64 = struct.Struct("<Q")

DTYPE_BITS: Mapping[str, int] = {
    "F64": 64, "F32": 32, "F16": 16, "BF16": 16, "I64": 64, "I32": 32, "I16": 16, "I8": 8, "U64": 64, "U32": 32,
    "U16": 16, "U8": 8, "BOOL": 8, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8,
    "F6_E2M3": 6, "F6_E3M2": 6, "F4": 4, "C64": 64,
}  # fmt: skip
"""Bits per value, by type name."""


@dataclass(frozen=True, slots=True)
class SafetensorsTensor:
    """One tensor: its type (`BF16`), its shape (rows first) and its size in bytes."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    size: int


@dataclass(frozen=True, slots=True)
class SafetensorsIndex:
    """`model.safetensors.index.json`: its declared total bytes (0: not declared) and its files, in order."""

    name: str
    total_size: int
    weight_map: Mapping[str, str]

    @property
    def files(self) -> tuple[str, ...]:
        """The distinct shards."""
        return tuple(sorted(set(self.weight_map.values())))


def read_safetensors(path: Path, name: str | None = None, opened: Opened | None = None) -> tuple[SafetensorsTensor, ...]:
    """The tensors of one file (`opened`: of one that is elsewhere), in header order.

    Raises `InputError`: `not-safetensors`, `truncated`, `too-large`, `safetensors-corrupt`, `unreadable`."""
    name = name or str(path)
    with Reader(path, name, MAX_HEADER_BYTES, opened) as reader:
        if reader.size < 8:
            raise reader.error("truncated", f"the file has {reader.size} bytes, fewer than its header's length")
        length = int(reader.number(_U64))
        if length > MAX_HEADER_BYTES - 8:
            raise reader.error("too-large", f"a header of {length} bytes; probably not a safetensors file")
        raw = reader.take(length)
        if not raw.startswith(b"{"):
            raise reader.error("not-safetensors", "not a safetensors file: its header is not a JSON object")
        data = parse_object(decode(raw, name), name, MAX_VALUES)
        data.pop("__metadata__", None)
        if len(data) > MAX_TENSORS:
            raise reader.error("too-large", f"{len(data)} tensors; at most {MAX_TENSORS} are supported")
        tensors, spans = [], []
        for key, record in data.items():
            tensor, span = _tensor(reader, key, record)
            tensors.append(tensor)
            spans.append(span)
        reader.check_spans(spans, 8 + length, "safetensors-corrupt", gaps=False)
    return tuple(tensors)


def read_index(path: Path, name: str | None = None) -> SafetensorsIndex:
    """The index of a sharded safetensors model.

    Raises `InputError`: `safetensors-corrupt` for an invalid index; `json-syntax`, `too-large`, `unreadable`."""
    name = name or str(path)
    data = parse_object(decode(read_bytes(path, MAX_INDEX_BYTES, name), name), name, MAX_VALUES)
    metadata, weight_map = data.get("metadata") or {}, data.get("weight_map")
    if not isinstance(weight_map, dict) or not isinstance(metadata, dict):
        raise fail("safetensors-corrupt", "an index contains the mappings 'metadata' and 'weight_map'", Place(name))
    if len(weight_map) > MAX_TENSORS or len({str(v) for v in weight_map.values()}) > MAX_SHARDS:
        raise fail("too-large", f"more than {MAX_TENSORS} tensors or {MAX_SHARDS} files", Place(name))
    for key, file in weight_map.items():
        if not isinstance(file, str) or file != Path(file).name or file in ("", ".", "..") or "\0" in file:
            raise fail("safetensors-corrupt", f"the file of {key!r} is not the name of a file in the same folder", Place(name))
    total = metadata.get("total_size", 0)
    if isinstance(total, float) and total.is_integer():
        total = int(total)
    if not isinstance(total, int) or isinstance(total, bool) or not 0 <= total < 1 << 63:
        raise fail("safetensors-corrupt", "metadata.total_size is not a number of bytes", Place(name))
    return SafetensorsIndex(name, total, weight_map)


def tensor_bytes(path: Path, name: str | None = None) -> int:
    """Bytes of a checkpoint: of `model.safetensors`, or of the files in `model.safetensors.index.json`.

    The headers of the files count if all of them are beside the index; else its `total_size`. Raises
    `InputError`: `safetensors-part-missing` if neither is available, and any problem of a file."""
    name = name or str(path)
    if path.suffix != ".json":
        return sum(tensor.size for tensor in read_safetensors(path, name))
    index = read_index(path, name)
    missing = [file for file in index.files if not path.with_name(file).exists()]
    if not missing and index.files:
        return _from_files(path, name, index.weight_map, index.files)
    if index.total_size:
        return index.total_size
    message = f"no metadata.total_size, and {missing[0]} is not in the same folder" if missing else "it names no files"
    raise fail("safetensors-part-missing", message, Place(name))


def _from_files(path: Path, name: str, weight_map: Mapping[str, str], files: tuple[str, ...]) -> int:
    """The tensors of the index, each from its file: a file may contain others, which are not loaded."""
    folder = name[: -len(path.name)] if name.endswith(path.name) else ""
    sizes: dict[str, int] = {}
    for file in files:
        for tensor in read_safetensors(path.with_name(file), folder + file):
            if weight_map.get(tensor.name) == file:
                sizes[tensor.name] = tensor.size
    absent = next((tensor for tensor in weight_map if tensor not in sizes), None)
    if absent is not None:
        raise fail("safetensors-corrupt", f"{weight_map[absent]} does not contain {absent!r}", Place(name))
    return sum(sizes.values())


def _tensor(reader: Reader, key: str, record: object) -> tuple[SafetensorsTensor, tuple[int, int]]:
    if not isinstance(record, dict):
        raise reader.error("safetensors-corrupt", f"the record of {key!r} is not a mapping")
    dtype, shape, offsets = record.get("dtype"), record.get("shape"), record.get("data_offsets")
    if not isinstance(dtype, str) or dtype not in DTYPE_BITS:
        raise reader.error("safetensors-corrupt", f"the tensor {key!r} has the unknown type {dtype!r}")
    if not _counts(shape) or len(shape) > 16 or prod(shape) >= 1 << 60:
        raise reader.error("safetensors-corrupt", f"the tensor {key!r} has an invalid shape")
    if not _counts(offsets) or len(offsets) != 2:
        raise reader.error("safetensors-corrupt", f"the tensor {key!r} has no data_offsets")
    begin, end = offsets
    if end - begin != -(-prod(shape) * DTYPE_BITS[dtype] // 8):
        raise reader.error("safetensors-corrupt", f"the length of the tensor {key!r} does not match its type and shape")
    return SafetensorsTensor(key, dtype, tuple(shape), end - begin), (begin, end)


def _counts(value: object) -> TypeGuard[list[int]]:
    return isinstance(value, list) and all(type(v) is int and 0 <= v < 1 << 60 for v in value)

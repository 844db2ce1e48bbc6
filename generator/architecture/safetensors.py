"""Exact bytes of a safetensors checkpoint, from the headers of its files or from its index.

Floor 3. Reads only files named by the user (through floor 0).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from generator.architecture.shape import ModelArchitecture
from generator.errors import Place, fail
from generator.readers.safetensors_header import read_index, read_safetensors


@dataclass(frozen=True, slots=True)
class ExactBytes:
    """`total` bytes of all tensors; `by_tensor` is empty if they come from an index without its files."""

    total: int
    by_tensor: Mapping[str, int]
    basis: Literal["headers", "index"]


def tensor_bytes(path: Path, name: str | None = None) -> ExactBytes:
    """Bytes of a checkpoint: of `model.safetensors`, or of the files in `model.safetensors.index.json`.

    The headers of the files count if all of them are beside the index; else its `total_size`. Raises
    `InputError`: `safetensors-part-missing` if neither is available, and any problem of a file.
    """
    name = name or str(path)
    if path.suffix != ".json":
        sizes = {t.name: t.size for t in read_safetensors(path, name)}
        return ExactBytes(sum(sizes.values()), MappingProxyType(sizes), "headers")
    index = read_index(path, name)
    missing = [file for file in index.files if not path.with_name(file).exists()]
    if not missing and index.files:
        return _from_files(path, name, index.weight_map, index.files)
    if index.total_size:
        return ExactBytes(index.total_size, MappingProxyType({}), "index")
    message = f"no metadata.total_size, and {missing[0]} is not in the same folder" if missing else "it names no files"
    raise fail("safetensors-part-missing", message, Place(name))


def _from_files(path: Path, name: str, weight_map: Mapping[str, str], files: tuple[str, ...]) -> ExactBytes:
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
    return ExactBytes(sum(sizes.values()), MappingProxyType(sizes), "headers")


def with_exact_bytes(architecture: ModelArchitecture, total: int) -> ModelArchitecture:
    """The architecture with exact checkpoint bytes."""
    return replace(architecture, tensor_bytes=total)

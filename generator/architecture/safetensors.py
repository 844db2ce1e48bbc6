"""Exact bytes of a safetensors checkpoint, from the headers of its files or from its index.

Floor 3. Reads only files named by the user (through floor 0)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from generator.errors import Place, fail
from generator.readers.safetensors_header import read_index, read_safetensors


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

"""The parts of one layer, and the merging of equal parts of many layers into the matrices of an architecture. Floor 3, pure. Names are
llama.cpp's tensor names, without layer number and `.weight` (`rules/parts.json` has them), so that one architecture serves GGUF mixtures
and safetensors alike; `ffn_…_exps` are all experts of a layer, `ffn_…_shexp` its shared ones, `v.…` the vision tower, NAME.bias the bias of
NAME."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Literal

from generator.architecture.shape import Matrix, Role, Shard, Storage
from generator.record import dataclass


@dataclass(frozen=True, slots=True)
class Part:
    """`many` equal matrices of one layer; `module` is its Hugging Face name in the layer, as ignore lists use it."""

    name: str
    role: Role
    rows: int
    columns: int
    shard: Shard = "replicated"
    module: str = ""
    many: int = 1
    split: Literal["column", "row"] = "column"
    heads: int = 0
    linear: bool = True

    @property
    def quantizable(self) -> bool:
        """Whether quantization tools process it: a linear layer with more than one input and output."""
        return self.linear and min(self.rows, self.columns) > 1 and bool(self.module)


StorageOf = Callable[[str, int | None], Storage | None]
"""Returns the checkpoint's storage of a module of a layer (None: 16 bits)."""


def vector(name: str, role: Role, size: int, shard: Shard = "replicated", heads: int = 0) -> Part:
    """A norm, bias or other vector."""
    return Part(name, role, size, 1, shard, heads=heads, linear=False)


def biased(part: Part, bias: bool) -> list[Part]:
    """A linear layer with its bias vector, if any; the bias of a row-parallel layer is not split."""
    if not bias:
        return [part]
    shard: Shard = "replicated" if part.shard == "row" else part.shard
    return [part, replace(part, name=f"{part.name}.bias", columns=1, shard=shard, linear=False, module="")]


def collected(placed: Iterable[tuple[list[Part], Sequence[int]]], decides: StorageOf | None) -> list[Matrix]:
    """Equal parts of many layers as matrices; layers with a different storage of a part are separate."""
    layers: dict[Part, list[int]] = {}
    for parts, some in placed:
        for part in parts:
            layers.setdefault(part, []).extend(some)
    return [one for part, some in layers.items() for one in _by_storage(part, some, decides)]


def _by_storage(part: Part, layers: list[int], decides: StorageOf | None) -> Iterable[Matrix]:
    if decides is None or not (part.quantizable or part.role == "lookup"):
        yield matrix(part, layers, None, part.quantizable)
        return
    groups: dict[Storage | None, list[int]] = {}
    for layer in layers:
        storage = decides(part.module, layer)
        if part.role == "lookup" and storage is not None and not storage.block:
            storage = None  # no linear layer: only checkpoints in FP8 blocks have it in FP8, too (source `qwen4-exp-code`)
        groups.setdefault(storage, []).append(layer)
    for storage, some in groups.items():
        yield matrix(part, some, storage, storage is not None)


def matrix(part: Part, layers: Sequence[int], storage: Storage | None, quantizable: bool) -> Matrix:
    """`part` in each of `layers` as one entry."""
    count, first, last = part.many * len(layers), min(layers), max(layers)
    return Matrix(part.name, part.role, part.rows, part.columns, count, part.shard, part.split, quantizable, first, last, part.heads, storage)

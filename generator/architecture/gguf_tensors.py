"""The tensors of a GGUF file as matrices: names give their roles, shapes their sizes. Floor 3, pure. This is independent of the
architecture: llama.cpp uses the same names in all of them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from math import prod

from generator.architecture.shape import Matrix, Role, Shard, Stored
from generator.quantity import runs
from generator.readers.gguf_header import GgufTensor, split_name
from generator.readers.resources import shipped
from generator.record import dataclass

_SHARED = ("attn_qkv", "attn_gate", "attn_qkv.bias", "attn_gate.bias")
"""Names that layers of linear attention have, too."""


@dataclass(frozen=True, slots=True)
class LayerTensors:
    """The tensor names of each layer, and the matrices of the whole file."""

    words: tuple[frozenset[str], ...]
    matrices: tuple[Matrix, ...]

    def has(self, layer: int, *words: str) -> bool:
        """Whether a tensor of the layer has one of these names."""
        return any(w in self.words[layer] for w in words)

    def stateful(self, layer: int) -> bool:
        """Whether the layer keeps a state for each sequence (Mamba, linear attention, short convolution)."""
        return any(role_of(word) == "linear_attention" for word in self.words[layer])


def folded(tensors: Iterable[GgufTensor], main_layers: int) -> tuple[Stored, ...]:
    """Equal tensors together, as sizing and a lock want them; layers from `main_layers` on are for multi-token prediction."""
    groups: dict[tuple[str, Role, str, int], list[int]] = {}
    for tensor in tensors:
        layer, word = split_name(tensor.name)
        word = word.removesuffix(".weight")
        role = "mtp" if layer is not None and layer >= main_layers else role_of(word)
        groups.setdefault((word, role, tensor.type, tensor.size), []).extend(() if layer is None else (layer,))
    return tuple(Stored(word, role, tuple(sorted(layers)), kind, size) for (word, role, kind, size), layers in groups.items())


def gather(tensors: Iterable[GgufTensor], layers: int, main_layers: int) -> LayerTensors:
    """Matrices by name, shape and run of layers; layers from `main_layers` on are for multi-token prediction."""
    words: list[set[str]] = [set() for _ in range(layers)]
    placed = []
    for tensor in tensors:
        layer, word = split_name(tensor.name)
        word = word.removesuffix(".weight")
        if layer is not None and layer < layers:
            words[layer].add(word)
        placed.append((layer, word, tensor.shape))
    groups: dict[tuple[str, Role, tuple[int, ...]], list[int]] = {}
    for layer, word, shape in placed:
        role = "mtp" if layer is not None and layer >= main_layers else role_of(word)
        if role == "attention" and word in _SHARED and layer is not None and any(w.startswith("ssm_") for w in words[layer]):
            role = "linear_attention"
        groups.setdefault((word, role, shape), []).append(layer or 0)
    matrices = [m for (word, role, shape), at in groups.items() for m in _matrices(word, role, shape, at)]
    return LayerTensors(tuple(frozenset(w) for w in words), tuple(matrices))


def _matrices(word: str, role: Role, shape: tuple[int, ...], layers: list[int]) -> Iterator[Matrix]:
    rows, columns, many = (shape[0], 1, 1) if len(shape) == 1 else (shape[1], shape[0], prod(shape[2:]))
    if len(shape) == 2 and word.endswith(".bias"):  # one bias vector for each expert
        rows, columns, many = shape[0], 1, shape[1]
    shard, split_row = _shard(word, role)
    quantizable = min(rows, columns) > 1 and role not in ("norm", "router")
    for first, last in runs(layers):
        count = many * (last - first + 1)
        yield Matrix(word, role, rows, columns, count, shard, "row" if split_row else "column", quantizable, first, last)


@lru_cache(4096)
def role_of(word: str) -> Role:
    """The role of a tensor by its name."""
    base = word.removesuffix(".bias")
    found: Role = next((one["role"] for one in shipped("gguf.json")["roles"] if re.search(one["pattern"], base)), "other")
    return found


def _shard(word: str, role: Role) -> tuple[Shard, bool]:
    """The tensor-parallel split, and whether by columns."""
    base = word.removesuffix(".bias")
    row = base.startswith(("attn_output", "ffn_down", "ssm_out"))
    if role in ("embedding", "lm_head"):
        return "vocab", False
    if role == "expert":
        return "expert", row
    if role in ("norm", "router", "vision", "mtp", "other") or base.endswith(("_a", "_a_mqa")):
        return "replicated", row
    return ("row" if row else "column"), row

"""The tensors that an engine holds, as it merges and splits a model's matrices, what PyTorch's allocator adds, and where they
can be cut for tensor parallelism: heads, scale groups, FP8 blocks. Engines refuse to start where these do not divide (sources in
`rules/default/reject`).

Floor 3, pure. Engines fuse query, key and value, gate and up, and all experts of a layer into one tensor each. The
allocator hands out whole segments: an allocation of 10 MiB or more is rounded up to 2 MiB where less than 1 MiB would
be left over, smaller ones come out of segments of 20 MiB (source `pytorch-caching-allocator`)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from generator.architecture.shape import Matrix, ModelArchitecture, Storage
from generator.quantity import MIB, by_identity, ceil_div, ceil_to
from generator.record import dataclass
from generator.sizing.footprint import Layout

_SMALLEST = 512
_LARGE_SEGMENT, _LARGE, _STEP = 20 * MIB, 10 * MIB, 2 * MIB

_FUSED = {
    "attn_q": "qkv", "attn_k": "qkv", "attn_v": "qkv", "attn_q.bias": "qkv.bias", "attn_k.bias": "qkv.bias", "attn_v.bias": "qkv.bias",
    "ffn_gate": "gate_up", "ffn_up": "gate_up", "ffn_gate_shexp": "gate_up_shexp", "ffn_up_shexp": "gate_up_shexp", "ffn_gate_exps": "w13",
    "ffn_up_exps": "w13", "attn_q_a": "qkv_a", "attn_kv_a_mqa": "qkv_a",
}  # fmt: skip

NOT_PADDED: Mapping[int, int] = MappingProxyType({})


def allocated(size: int) -> float:
    """Bytes that an allocation of `size` takes from PyTorch's allocator, on average over many of that size."""
    size = ceil_to(size, _SMALLEST)
    if size <= MIB:
        return size
    if size >= _LARGE:
        segment = ceil_to(size, _STEP)
        return segment if segment - size <= MIB else size
    fit = _LARGE_SEGMENT // size
    return _LARGE_SEGMENT / fit if _LARGE_SEGMENT - fit * size <= MIB else size


@dataclass(frozen=True, slots=True)
class Tensor:
    """Matrices that an engine holds as one tensor, once per layer; `layers` of them lie in first..last."""

    matrices: tuple[Matrix, ...]
    layers: int
    first: int
    last: int

    @property
    def lead(self) -> Matrix:
        """The matrix that speaks for all: they agree on role, shard and storage."""
        return self.matrices[0]


@by_identity(1, 256)
def tensors(architecture: ModelArchitecture) -> tuple[Tensor, ...]:
    """The tensors of an architecture, merged as engines merge them."""
    groups: dict[object, list[Matrix]] = {}
    for index, matrix in enumerate(architecture.matrices):
        fused = _FUSED.get(matrix.name)
        same = (fused, matrix.layer_first, matrix.layer_last, matrix.count, matrix.storage, matrix.quantizable)
        groups.setdefault(same if fused else index, []).append(matrix)
    return tuple(_tensor(tuple(group), architecture.experts) for group in groups.values())


def _tensor(matrices: tuple[Matrix, ...], experts: int) -> Tensor:
    lead = matrices[0]
    each = experts if lead.shard == "expert" and experts and lead.count % experts == 0 else 1
    return Tensor(matrices, max(1, lead.count // each), lead.layer_first, lead.layer_last)


def shape_on_gpu(matrix: Matrix, layout: Layout, kv_rows: int) -> tuple[int, int]:
    """Rows and columns of one matrix on one GPU; `kv_rows` are those of one key or value head."""
    shard, rows, columns = matrix.shard, matrix.rows, matrix.columns
    ways = layout.ranks if shard == "expert" else layout.tensor_parallel
    if ways == 1 or shard in ("replicated", "vocab"):
        return rows, columns
    if shard == "expert":
        if layout.expert_parallel:
            return rows, columns
        shard = matrix.split
    if shard == "row":
        return rows, ceil_div(columns, ways)
    if matrix.heads and ways > matrix.heads:  # each GPU keeps one key-value head
        if matrix.name.startswith("attn_qkv"):
            own = 2 * matrix.heads * kv_rows
            return ceil_div(rows - own, ways) + 2 * kv_rows, columns
        return rows // matrix.heads, columns
    return ceil_div(rows, ways), columns


def padded_mxfp4(matrix: Matrix, rows: int, columns: int, capability: float) -> tuple[int, int]:
    """Rows and columns of an MXFP4 expert as its kernel wants them (source `vllm-mxfp4-padding`). Weight-only Marlin below compute
    capability 9 pads the expert's width to 128 and the hidden size to 256, Triton on 9.0 the width to 128 and then every input to 256,
    FlashInfer on 10 and later both to 256."""
    if columns == 1:
        return rows, columns
    width, hidden = (columns, rows) if matrix.split == "row" else (rows, columns)
    width = ceil_to(width, 256 if capability >= 10 else 128)
    if capability >= 10 or capability < 9:
        hidden = ceil_to(hidden, 256)
        return (hidden, width) if matrix.split == "row" else (width, hidden)
    if matrix.split == "row":
        return hidden, ceil_to(width, 256)
    return width, ceil_to(hidden, 256)


def stored(rows: int, columns: int, storage: Storage | None, copies: int = 1) -> list[int]:
    """Bytes of the values, scales and zero points of `copies` stacked matrices of one shape."""
    if storage is None:
        return [2 * rows * columns * copies]
    scales = scales_of(rows, columns, storage)
    sizes = [int(rows * columns * storage.bits / 8) * copies, scales * storage.scale_bits // 8 * copies]
    return [*sizes, scales * storage.zero_bits // 8 * copies] if storage.zero_bits else sizes


def scales_of(rows: int, columns: int, storage: Storage) -> int:
    """Scales of one matrix: by block, by group of a row, by row, or one."""
    if storage.block:
        return ceil_div(rows, storage.block[0]) * ceil_div(columns, storage.block[1])
    if storage.group_size:
        return rows * ceil_div(columns, storage.group_size)
    return rows if storage.channel else 1


@dataclass(frozen=True, slots=True)
class Cuts:
    """The lengths, in values, that tensor parallelism divides: each once. `inputs` are cut along the input of a row-parallel matrix,
    `outputs` along the output of a column-parallel one; `expert_inputs` and `expert_outputs` the same of routed experts, which expert
    parallelism leaves whole."""

    inputs: frozenset[int]
    outputs: frozenset[int]
    expert_inputs: frozenset[int]
    expert_outputs: frozenset[int]

    def divide(self, parts: int, unit: int, experts_whole: bool, outputs_too: bool, padded: Mapping[int, int] = NOT_PADDED) -> bool:
        """Whether every cut length, divided by `parts`, is a whole number of `unit` values; `padded` replaces lengths."""
        lengths = self.inputs | (self.outputs if outputs_too else frozenset())
        if not experts_whole:
            lengths |= self.expert_inputs | (self.expert_outputs if outputs_too else frozenset())
        return all(padded.get(length, length) % (parts * unit) == 0 for length in lengths)


def cuts(architecture: ModelArchitecture, wide: frozenset[str] = frozenset()) -> Cuts:
    """The lengths of a model that may be quantised in groups or blocks, without those of the roles that stay in 16 bits (`wide`). Keys and
    values are left out: where there are fewer KV heads than GPUs they are repeated, not cut."""
    quantized = [m for m in architecture.matrices if m.quantizable and m.role not in wide and m.name not in ("attn_k", "attn_v")]

    def lengths(split: str, of_experts: bool) -> frozenset[int]:
        cut = [m for m in quantized if (m.shard == "expert") is of_experts and (m.split if of_experts else m.shard) == split]
        return frozenset(m.columns if split == "row" else m.rows for m in cut)

    return Cuts(lengths("row", False), lengths("column", False), lengths("row", True), lengths("column", True))

"""What LoRA adapters take on a GPU. Floor 3, pure."""

from __future__ import annotations

from generator.architecture.shape import Matrix, ModelArchitecture
from generator.quantity import ceil_div
from generator.sizing.footprint import Layout

ADAPTED = frozenset(("attention", "linear_attention", "mlp", "shared_expert", "expert"))
"""Roles of the matrices that engines keep room for; vision towers, embeddings and norms have none."""


def adapter_bytes(architecture: ModelArchitecture, layout: Layout, rank: int, slots: int) -> int:
    """Bytes on one GPU of `slots` adapters of `rank`, in 16 bits, whatever matrices an adapter really has (source `vllm-lora-layers`).

    Of a matrix split by its rows each GPU has the whole of A and its share of B; of one split by its columns it is the other way round."""
    values = sum(_values(matrix, layout.tensor_parallel) for matrix in architecture.matrices if matrix.role in ADAPTED and matrix.columns > 1)
    return 2 * slots * rank * ceil_div(values, layout.pipeline_parallel)


def _values(matrix: Matrix, ways: int) -> int:
    """Values of both factors at rank 1, of all equal matrices."""
    kind = matrix.split if matrix.shard == "expert" else matrix.shard
    rows = ceil_div(matrix.rows, ways) if kind == "column" else matrix.rows
    columns = ceil_div(matrix.columns, ways) if kind == "row" else matrix.columns
    return matrix.count * (rows + columns)

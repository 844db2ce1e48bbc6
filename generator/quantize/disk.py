"""Size of a produced checkpoint on disk, relative to its size in an engine's memory.

Floor 3, pure. Engines widen scales and drop packing metadata; the files store both as the tool
wrote them (`stored` in `rules/facts/quantizers.yaml`). `checkpoint_bytes` counts the extras of the GPTQ layout.
"""

from __future__ import annotations

from collections.abc import Mapping

from generator.architecture.shape import Matrix, ModelArchitecture, Storage
from generator.quantity import ceil_div


def stored_beside(architecture: ModelArchitecture, stored: Mapping[str, int]) -> int:
    """Bytes of the files beyond `checkpoint_bytes` (negative if they are smaller)."""
    return sum(_of(m, m.storage, stored) * m.count for m in architecture.matrices if m.storage is not None and m.columns > 1)


def _of(matrix: Matrix, storage: Storage, stored: Mapping[str, int]) -> int:
    if storage.block:
        scales = ceil_div(matrix.rows, storage.block[0]) * ceil_div(matrix.columns, storage.block[1])
    elif storage.group_size:
        scales = matrix.rows * ceil_div(matrix.columns, storage.group_size)
    else:
        scales = matrix.rows if storage.channel else 1
    bits = stored.get("scale_bits", storage.scale_bits) - storage.scale_bits
    inputs = matrix.columns if matrix.shard == "row" or (matrix.shard == "expert" and matrix.split == "row") else 0
    return scales * bits // 8 + stored.get("matrix_bytes", 0) + inputs * stored.get("row_input_bytes", 0)

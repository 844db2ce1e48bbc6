"""How a made checkpoint's files differ from what engines hold of it.

Floor 3, pure. Engines widen scales and leave out what only says how a matrix was packed; the files hold it as the tool
wrote it (`stored` in `rules/facts/quantizers.yaml`). What the GPTQ layout has besides, `checkpoint_bytes` counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from generator.architecture.shape import Matrix, ModelArchitecture, Storage
from generator.quantity import ceil_div


def stored_beside(architecture: ModelArchitecture, stored: Mapping[str, object]) -> int:
    """Bytes that the files hold beyond `checkpoint_bytes` (below 0 where they hold less)."""
    return sum(_of(m, m.storage, stored) * m.count for m in architecture.matrices if m.storage is not None and m.columns > 1)


def _of(matrix: Matrix, storage: Storage, stored: Mapping[str, Any]) -> int:
    if storage.block:
        scales = ceil_div(matrix.rows, storage.block[0]) * ceil_div(matrix.columns, storage.block[1])
    elif storage.group_size:
        scales = matrix.rows * ceil_div(matrix.columns, storage.group_size)
    else:
        scales = matrix.rows if storage.channel else 1
    bits = int(stored.get("scale_bits", storage.scale_bits)) - storage.scale_bits
    inputs = matrix.columns if matrix.shard == "row" or (matrix.shard == "expert" and matrix.split == "row") else 0
    return scales * bits // 8 + int(stored.get("matrix_bytes", 0)) + inputs * int(stored.get("row_input_bytes", 0))

"""llama.cpp's caches: cells for the context of a slot; sliding layers keep a window and a micro-batch.

Floor 4, pure. The layers are spread over the GPUs (source `llama-cpp-measured`)."""

from __future__ import annotations

from math import ceil

from generator.quantity import ceil_to
from generator.sizing.cache import CacheCost
from generator.sizing.term import smallest

CELL_PADDING = 256
"""Cells are padded to a multiple of this."""


class SlotCache(CacheCost):
    """A cache for each slot, as `--parallel N` has it."""

    __slots__ = ()

    def bytes_for(self, tokens_per_sequence: int, sequences: int) -> int:
        """Bytes of the caches of so many slots."""
        return ceil(self._cells(tokens_per_sequence, 1) * sequences) + self.state_bytes * sequences

    def tokens_in(self, pool_bytes: int, max_model_len: int) -> int:
        """Tokens that a pool holds: whole slots times their length."""
        if pool_bytes <= 0 or max_model_len <= 0:
            return 0
        one = self.bytes_for(max_model_len, 1)
        return int(pool_bytes / one * max_model_len) if one else 0

    def _cells(self, tokens: int, sharing: int) -> float:
        """Bytes of one cache that so many slots share."""
        cells = ceil_to(tokens * sharing, CELL_PADDING)
        size = cells * self.full_per_token
        for kept in self.sliding:
            wanted = smallest(cells, kept.window * sharing + smallest(cells, self.batched_tokens))
            size += ceil_to(wanted, CELL_PADDING) * kept.layers * kept.per_token
        return size


class UnifiedCache(SlotCache):
    """One cache for all slots."""

    __slots__ = ()

    def bytes_for(self, tokens_per_sequence: int, sequences: int) -> int:
        """Bytes of the cache that so many slots share."""
        return ceil(self._cells(tokens_per_sequence, sequences)) + self.state_bytes * sequences

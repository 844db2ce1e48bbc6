"""SGLang's pools: one for full and one for sliding layers, in a fixed ratio of tokens, and one for states, in a fixed ratio of bytes.

Floor 4, pure (source `sglang-kv-cache-configurator`)."""

from __future__ import annotations

from math import ceil

from generator.sizing.cache import CacheCost


class PooledCache(CacheCost):
    """Of SGLang's pools, `sliding_tokens` is the size of the sliding one per token of the full one, `state_ratio` the
    bytes for states per byte for keys and values."""

    __slots__ = ()

    @property
    def _pooled_per_token(self) -> float:
        """Bytes per token of the pools for keys and values."""
        return self.full_per_token + (self.sliding_tokens if self.full else 1.0) * self.sliding_per_token

    def bytes_for(self, tokens_per_sequence: int, sequences: int) -> int:
        """Bytes that `sequences` of `tokens_per_sequence` need in the pools."""
        keys = ceil(tokens_per_sequence * sequences * self._pooled_per_token)
        states = self.state_bytes * sequences
        return keys + max(states, ceil(keys * self.state_ratio)) if states and keys else keys + states

    def tokens_in(self, pool_bytes: int, max_model_len: int) -> int:
        """Tokens that the pools hold."""
        if pool_bytes <= 0 or max_model_len <= 0 or not (self.sliding or self.state_layers):
            return super().tokens_in(pool_bytes, max_model_len)
        pool = pool_bytes / (1 + self.state_ratio) if self.state_layers else pool_bytes
        return int(pool / self._pooled_per_token) if self._pooled_per_token else 0

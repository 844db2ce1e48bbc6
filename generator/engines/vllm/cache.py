"""vLLM's cache: one pool of equal pages for all layers.

Floor 4, pure. Kinds of layers are cut into groups of as many layers as the rarest kind has (the rest of the last group is
wasted); a state takes a whole page, and the block of attention layers grows until its page is as large (source
`vllm-profile-0-33`). Layers with chunked attention keep every token. Of compressed attention (DeepSeek-V4) every kind has pages
of one size, without groups (source `vllm-v4-compressor`)."""

from __future__ import annotations

from math import ceil

from generator.quantity import ceil_to
from generator.sizing.cache import CacheCost


class PagedCache(CacheCost):
    """A pool of pages."""

    __slots__ = ()

    def bytes_for(self, tokens_per_sequence: int, sequences: int) -> int:
        """Whole blocks; windows keep theirs and a block that is half used, and one step is in flight."""
        tokens = tokens_per_sequence
        if not self.sliding and not self.state_layers:
            return ceil(self.full_per_token * ceil_to(tokens, self.block)) * sequences
        group, block = self._pages()
        per_token = sum([ceil_to(kept.layers, group) * kept.per_token for kept in self.full])
        size = per_token * ceil_to(tokens, block) * sequences
        for kept in self.sliding:
            held = min(ceil_to(tokens, block), ceil_to(kept.window, block) + block) * sequences
            held += ceil_to(max(0, min(self.batched_tokens, tokens - kept.window)), block)
            size += ceil_to(kept.layers, group) * kept.per_token * held
        if self.state_layers:
            size += ceil_to(self.state_layers, group) * self._state_page(block) * self._held * sequences
        return ceil(size)

    def least_for(self, cap: int) -> int:
        """A block for each sequence where layers keep a state: the capture of its graphs needs one (source `vllm-mamba-blocks`)."""
        if not self.state_layers:
            return 0
        group, block = self._pages()
        return ceil(group * self._state_page(block) * cap)

    def tokens_in(self, pool_bytes: int, max_model_len: int) -> int:
        """Tokens that a pool holds, as vLLM says it: where layers differ, full sequences times their length."""
        if pool_bytes <= 0 or max_model_len <= 0 or not (self.sliding or self.state_layers):
            return super().tokens_in(pool_bytes, max_model_len)
        one = self._request(max_model_len)
        return int(pool_bytes / one * max_model_len) if one else 0

    def _pages(self) -> tuple[int, int]:
        """Layers of one group, and tokens of one block of the layers that keep every token."""
        counts = [kept.layers for kept in (*self.full, *self.sliding)]
        if self.state_layers:
            counts.append(self.state_layers)
        least, most = min(counts, default=1), max(counts, default=1)
        group = (most if most < 1.25 * least else least) if self.grouped else 1  # nearly as many: one padded group each
        block = self.block
        per_token = self._widest
        if self.state_layers and per_token:
            block *= max(1, ceil(self.state_layer_bytes / (self.block * per_token)))
        return max(1, group), block

    @property
    def _widest(self) -> float:
        return max((kept.per_token for kept in (*self.full, *self.sliding)), default=0.0)

    def _state_page(self, block: int) -> float:
        return max(float(self.state_layer_bytes), block * self._widest)

    @property
    def _held(self) -> int:
        """Pages of states that a sequence holds: with a draft that of the block before, too (source `vllm-mamba-drafts`)."""
        return self.states + (self.states > 1)

    def _request(self, tokens: int) -> float:
        """vLLM's bound for one sequence: windows hold a whole step besides."""
        group, block = self._pages()
        size = sum(ceil_to(k.layers, group) * k.per_token for k in self.full) * ceil_to(tokens, block)
        for kept in self.sliding:
            held = min(kept.window - 1 + self.batched_tokens, tokens)
            size += ceil_to(kept.layers, group) * kept.per_token * (ceil_to(held, block) + block)
        return size + (ceil_to(self.state_layers, group) * self._state_page(block) * self._held if self.state_layers else 0.0)

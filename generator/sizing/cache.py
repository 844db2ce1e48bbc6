"""What the KV cache costs: bytes per token and per sequence on the fullest GPU, and the tokens that a pool holds.

Floor 2, pure. Layers differ in what they keep: full attention every token, sliding windows the last ones, latent
attention one vector per token that tensor parallelism does not split, Mamba and linear attention one state per
sequence. Engines differ in what they make of that:

    vllm            one pool of equal pages for all layers. Kinds of layers are cut into groups of as many layers as the
                    rarest kind has (the rest of the last group is wasted); a state takes a whole page, and the block of
                    attention layers grows until its page is as large (source `vllm-profile-0-33`)
    sglang          a pool for full and one for sliding layers, in a fixed ratio of tokens, and one for states, in a
                    fixed ratio of bytes (source `sglang-kv-cache-configurator`)
    tgi, tensorrt-llm   every layer keeps every token
    llama.cpp       a cache for each slot, as `--parallel N` has it: cells for its context; sliding layers keep a window
                    and a micro-batch; the layers are spread over the GPUs (source `llama-cpp-measured`)
    ollama          the same with one cache for all slots
"""

from __future__ import annotations

from math import ceil
from typing import NamedTuple

from generator.architecture.shape import CacheGroup, ModelArchitecture
from generator.quantity import ceil_div, ceil_to, floor_to
from generator.sizing.footprint import Layout
from generator.sizing.weights import stage_bounds

_BLOCK = {"vllm": 16, "tensorrt-llm": 32}
"""Tokens of one cache block; 1 for engines that are not named."""

_CELL_PADDING = 256
"""llama.cpp pads cells to a multiple of this."""

_LOCAL = ("llama.cpp", "ollama")
_KEEPS_ALL = ("tgi", "tensorrt-llm")


class Kept(NamedTuple):
    """Equal layers of the fullest GPU: `layers` of them, each `per_token` bytes; `window` 0 keeps every token."""

    layers: int
    per_token: float
    window: int = 0


class CacheCost(NamedTuple):
    """What the cache costs on the fullest GPU.

    `full` and `sliding` are its layers that keep tokens, `state_layers` those that keep `state_layer_bytes` per
    sequence. `block` is the engine's unit in tokens, `batched_tokens` its step, `sequences` the slots of a server.
    Of SGLang's pools, `sliding_tokens` is the size of the sliding one per token of the full one, and `state_ratio` the
    bytes for states per byte for keys and values.
    """

    engine: str
    full: tuple[Kept, ...]
    sliding: tuple[Kept, ...]
    state_layers: int
    state_layer_bytes: int
    block: int
    batched_tokens: int
    sequences: int
    sliding_tokens: float = 1.0
    state_ratio: float = 0.0

    @property
    def bytes_per_token(self) -> int:
        """Bytes that each further token of a long context takes: of the layers that keep every token."""
        return ceil(self._full_per_token)

    @property
    def state_bytes(self) -> int:
        """Bytes per sequence, whatever its length."""
        return self.state_layers * self.state_layer_bytes

    @property
    def _full_per_token(self) -> float:
        return sum([kept.layers * kept.per_token for kept in self.full])

    @property
    def _sliding_per_token(self) -> float:
        return sum([kept.layers * kept.per_token for kept in self.sliding])

    @property
    def _pooled_per_token(self) -> float:
        """SGLang: bytes per token of the pools for keys and values."""
        return self._full_per_token + (self.sliding_tokens if self.full else 1.0) * self._sliding_per_token

    def bytes_for(self, tokens_per_sequence: int, sequences: int) -> int:
        """Bytes that `sequences` of `tokens_per_sequence` need in the pool."""
        if self.engine in _LOCAL:
            return self._local(tokens_per_sequence, sequences)
        if self.engine == "vllm":
            return self._paged(tokens_per_sequence, sequences)
        tokens = ceil_to(tokens_per_sequence, self.block) * sequences
        if self.engine == "sglang":
            keys = ceil(tokens * self._pooled_per_token)
            states = self.state_bytes * sequences
            return keys + max(states, ceil(keys * self.state_ratio)) if states and keys else keys + states
        return ceil(tokens * (self._full_per_token + self._sliding_per_token)) + self.state_bytes * sequences

    def tokens_in(self, pool_bytes: int, max_model_len: int) -> int:
        """Tokens that a pool holds, as the engine says it: where layers differ, full sequences times their length."""
        if pool_bytes <= 0 or max_model_len <= 0:
            return 0
        if self.engine == "sglang" and (self.sliding or self.state_layers):
            pool = pool_bytes / (1 + self.state_ratio) if self.state_layers else pool_bytes
            return int(pool / self._pooled_per_token) if self._pooled_per_token else 0
        if self.engine == "vllm" and (self.sliding or self.state_layers):
            one = self._request(max_model_len)
            return int(pool_bytes / one * max_model_len) if one else 0
        if self.engine in _LOCAL:
            one = self.bytes_for(max_model_len, 1)
            return int(pool_bytes / one * max_model_len) if one else 0
        per_token = self._full_per_token + self._sliding_per_token
        if not per_token:
            return pool_bytes // self.state_bytes * max_model_len if self.state_bytes else 0
        return floor_to(int(pool_bytes / per_token), self.block)

    def _local(self, tokens: int, sequences: int) -> int:
        """Cells of llama.cpp's caches: one for each slot, or one for all of them."""
        caches = sequences if self.engine == "llama.cpp" else 1
        sharing = sequences // caches
        cells = ceil_to(tokens * sharing, _CELL_PADDING)
        size = cells * self._full_per_token
        for kept in self.sliding:
            wanted = min(cells, kept.window * sharing + min(cells, self.batched_tokens))
            size += ceil_to(wanted, _CELL_PADDING) * kept.layers * kept.per_token
        return ceil(size * caches) + self.state_bytes * sequences

    def _pages(self) -> tuple[int, int]:
        """vLLM: layers of one group, and tokens of one block of the layers that keep every token."""
        counts = [kept.layers for kept in (*self.full, *self.sliding)]
        if self.state_layers:
            counts.append(self.state_layers)
        least, most = min(counts, default=1), max(counts, default=1)
        group = most if most < 1.25 * least else least  # nearly as many: one padded group each
        block = self.block
        per_token = max((kept.per_token for kept in (*self.full, *self.sliding)), default=0.0)
        if self.state_layers and per_token:
            block *= max(1, ceil(self.state_layer_bytes / (self.block * per_token)))
        return max(1, group), block

    def _state_page(self, block: int) -> float:
        """vLLM: bytes of the page that one state takes."""
        per_token = max((kept.per_token for kept in (*self.full, *self.sliding)), default=0.0)
        return max(float(self.state_layer_bytes), block * per_token)

    def _request(self, tokens: int) -> float:
        """vLLM's bound for one sequence: windows hold a whole step besides."""
        group, block = self._pages()
        size = sum(ceil_to(k.layers, group) * k.per_token for k in self.full) * ceil_to(tokens, block)
        for kept in self.sliding:
            held = min(kept.window - 1 + self.batched_tokens, tokens)
            size += ceil_to(kept.layers, group) * kept.per_token * (ceil_to(held, block) + block)
        return size + (ceil_to(self.state_layers, group) * self._state_page(block) if self.state_layers else 0.0)

    def _paged(self, tokens: int, sequences: int) -> int:
        """vLLM: whole blocks; windows keep theirs and a block that is half used, and one step is in flight."""
        if not self.sliding and not self.state_layers:
            return ceil(self._full_per_token * ceil_to(tokens, self.block)) * sequences
        group, block = self._pages()
        per_token = sum([ceil_to(kept.layers, group) * kept.per_token for kept in self.full])
        size = per_token * ceil_to(tokens, block) * sequences
        for kept in self.sliding:
            held = min(ceil_to(tokens, block), ceil_to(kept.window, block) + block) * sequences
            held += ceil_to(max(0, min(self.batched_tokens, tokens - kept.window)), block)
            size += ceil_to(kept.layers, group) * kept.per_token * held
        if self.state_layers:
            size += ceil_to(self.state_layers, group) * self._state_page(block) * sequences
        return ceil(size)


def cache_cost(
    architecture: ModelArchitecture,
    layout: Layout,
    kv_bits: float,
    engine: str,
    *,
    batched_tokens: int = 8192,
    sequences: int = 1,
    sliding_tokens: float = 1.0,
    state_ratio: float = 0.0,
) -> CacheCost:
    """The cost of the cache on the fullest GPU: the pipeline stage with the most layers.

    `kv_bits` are those of one cached value, scales included (q8_0: 8.5). `batched_tokens` is the engine's step;
    `sliding_tokens` and `state_ratio` are SGLang's `--swa-full-tokens-ratio` and `--mamba-full-memory-ratio`.
    """
    stages, ways = layout.pipeline_parallel, layout.tensor_parallel
    if engine in _LOCAL:
        stages, ways = layout.gpus, 1
    total = max(1, architecture.layers)
    most = total
    if stages > 1:
        most = max([end - start for start, end in stage_bounds(total, stages)])
    full: dict[float, int] = {}
    sliding: list[Kept] = []
    state_layers = state_bytes = 0
    for group in architecture.caches:
        layers = group.layers if most == total else ceil_div(group.layers * most, total)
        if group.kind == "state":
            state_layers += layers
            state_bytes = max(state_bytes, ceil_div(_state(group, engine), ways))
            continue
        per_token = _per_token(group, ways, kv_bits)
        windowed = group.kind == "sliding" and engine not in _KEEPS_ALL
        if windowed and not (group.chunked and engine == "vllm"):
            sliding.append(Kept(layers, per_token, group.window))
        else:
            full[per_token] = full.get(per_token, 0) + layers
    kept = tuple([Kept(layers, per_token) for per_token, layers in full.items()])
    block = _BLOCK.get(engine, 1)
    return CacheCost(
        engine, kept, tuple(sliding), state_layers, state_bytes, block, batched_tokens, sequences, sliding_tokens, state_ratio
    )


def _per_token(group: CacheGroup, ways: int, kv_bits: float) -> float:
    """Bytes per token of one layer on one GPU."""
    if group.kind == "latent":
        return (group.latent_dim * kv_bits / 8 + group.index_bytes) / group.stride
    heads = max(1, ceil_div(group.kv_heads, ways))
    return heads * (group.key_dim + group.value_dim) * kv_bits / 8 + group.index_bytes


def _state(group: CacheGroup, engine: str) -> int:
    """Bytes of one layer's state: llama.cpp keeps it in fp32, vLLM in the model's type unless the config says."""
    if not group.conv_values and not group.ssm_values:
        return group.state_bytes
    if engine in _LOCAL:
        return 4 * (group.conv_values + group.ssm_values)
    bits = group.ssm_bits or (16 if engine == "vllm" else 32)
    return 2 * group.conv_values + group.ssm_values * bits // 8

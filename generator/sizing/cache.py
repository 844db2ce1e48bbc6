"""What the KV cache costs: bytes per token and per sequence on the fullest GPU, and the tokens that a pool holds. Floor 3, pure. Layers
differ in what they keep: full attention every token, sliding windows the last ones, latent attention one vector per token that tensor
parallelism does not split, Mamba and linear attention one state per sequence. Engines differ in what they make of that: `CacheRules` says
how, and each engine's own subclass of `CacheCost` counts it (`generator/engines/<engine>/cache.py`)."""

from __future__ import annotations

from math import ceil
from typing import NamedTuple

from generator.architecture.shape import CacheGroup, ModelArchitecture
from generator.quantity import ceil_div, ceil_to, floor_to
from generator.sizing.footprint import Layout
from generator.sizing.weights import stage_bounds


class Kept(NamedTuple):
    """Equal layers of the fullest GPU: `layers` of them, each `per_token` bytes; `window` 0 keeps every token."""

    layers: int
    per_token: float
    window: int = 0


class CacheCost(NamedTuple):
    """What the cache costs on the fullest GPU; as it stands, for an engine whose blocks hold tokens of all layers. `full` and `sliding` are
    its layers that keep tokens, `state_layers` those that keep `states` of `state_layer_bytes` per sequence. `block` is the engine's unit in tokens,
    `batched_tokens` its step, `sequences` the slots of a server. `sliding_tokens` and `state_ratio` are SGLang's. `grouped`: kinds of
    layers are cut into groups of equal numbers."""

    full: tuple[Kept, ...]
    sliding: tuple[Kept, ...]
    state_layers: int
    state_layer_bytes: int
    block: int
    batched_tokens: int
    sequences: int
    sliding_tokens: float = 1.0
    state_ratio: float = 0.0
    grouped: bool = True
    states: int = 1

    @property
    def bytes_per_token(self) -> int:
        """Bytes that each further token of a long context takes: of the layers that keep every token."""
        return ceil(self.full_per_token)

    @property
    def state_bytes(self) -> int:
        """Bytes per sequence, whatever its length."""
        return self.state_layers * self.state_layer_bytes * self.states

    @property
    def full_per_token(self) -> float:
        """Bytes per token of the layers that keep every token."""
        return sum([kept.layers * kept.per_token for kept in self.full])

    @property
    def sliding_per_token(self) -> float:
        """Bytes per token of the layers that keep a window."""
        return sum([kept.layers * kept.per_token for kept in self.sliding])

    def bytes_for(self, tokens_per_sequence: int, sequences: int) -> int:
        """Bytes that `sequences` of `tokens_per_sequence` need in the pool."""
        tokens = ceil_to(tokens_per_sequence, self.block) * sequences
        return ceil(tokens * (self.full_per_token + self.sliding_per_token)) + self.state_bytes * sequences

    def least_for(self, cap: int) -> int:
        """Bytes without which the engine refuses to start under a cap of so many sequences."""
        return 0

    def tokens_in(self, pool_bytes: int, max_model_len: int) -> int:
        """Tokens that a pool holds, as the engine says it."""
        if pool_bytes <= 0 or max_model_len <= 0:
            return 0
        per_token = self.full_per_token + self.sliding_per_token
        if not per_token:
            return pool_bytes // self.state_bytes * max_model_len if self.state_bytes else 0
        return floor_to(int(pool_bytes / per_token), self.block)


class CacheRules(NamedTuple):
    """How an engine keeps a cache: `counted` by which class, in blocks of `block` tokens. `keeps_all`: sliding layers keep every token,
    too; `chunked_keeps_all`: those with chunked attention do. `by_layer`: a GPU has whole layers, whatever the split. A state has values of
    `state_bits` and `conv_bits` bits where the model does not say. `partial`: bytes taken for each byte of values that are not compressed
    yet (0: they are elsewhere)."""

    counted: type[CacheCost]
    block: int = 1
    keeps_all: bool = False
    chunked_keeps_all: bool = False
    by_layer: bool = False
    state_bits: int = 32
    conv_bits: int = 16
    partial: float = 0.0


def cache_cost(
    architecture: ModelArchitecture, layout: Layout, kv_bits: float, rules: CacheRules, *, batched_tokens: int = 8192, sequences: int = 1,
    sliding_tokens: float = 1.0, state_ratio: float = 0.0,
) -> CacheCost:  # fmt: skip
    """The cost of the cache on the fullest GPU: the pipeline stage with the most layers. `kv_bits` are those of one cached value, scales
    included (q8_0: 8.5). `batched_tokens` is the engine's step; `sliding_tokens` and `state_ratio` are SGLang's `--swa-full-tokens-ratio`
    and `--mamba-full-memory-ratio`."""
    stages, ways = layout.pipeline_parallel, layout.tensor_parallel
    if rules.by_layer:
        stages, ways = layout.gpus, 1
    total = max(1, architecture.layers)
    most = total
    if stages > 1:
        most = max([end - start for start, end in stage_bounds(total, stages)])
    full: dict[float, int] = {}
    sliding: list[Kept] = []
    state_layers = state_bytes = 0
    states = max([group.states for group in architecture.caches], default=1)
    for group in architecture.caches:
        layers = group.layers if most == total else ceil_div(group.layers * most, total)
        if group.kind == "state":
            state_layers += layers
            state_bytes = max(state_bytes, ceil_div(_state(group, rules), ways))
            continue
        if group.kind == "partial":
            sliding += [Kept(layers, group.index_bytes * rules.partial, group.window)] if rules.partial else []
            continue
        per_token = _per_token(group, ways, kv_bits)
        if group.kind == "sliding" and not rules.keeps_all and not (group.chunked and rules.chunked_keeps_all):
            sliding.append(Kept(layers, per_token, group.window))
        else:
            full[per_token] = full.get(per_token, 0) + layers
    kept = tuple([Kept(layers, per_token) for per_token, layers in full.items()])
    grouped = not any(group.kind == "partial" for group in architecture.caches)
    return rules.counted(
        kept, tuple(sliding), state_layers, state_bytes, rules.block, batched_tokens, sequences, sliding_tokens, state_ratio, grouped, states
    )


def _per_token(group: CacheGroup, ways: int, kv_bits: float) -> float:
    """Bytes per token of one layer on one GPU."""
    beside = group.index_bytes + (group.fp8_bytes if kv_bits == 8 else 0)
    if group.kind == "latent":
        return (group.latent_dim * kv_bits / 8 + beside) / group.stride
    heads = max(1, ceil_div(group.kv_heads, ways))
    return heads * (group.key_dim + group.value_dim) * kv_bits / 8 + beside


def _state(group: CacheGroup, rules: CacheRules) -> int:
    """Bytes of one layer's state: in the engine's type, unless the config says."""
    if not group.conv_values and not group.ssm_values:
        return group.state_bytes
    bits = rules.state_bits if rules.by_layer else group.ssm_bits or rules.state_bits
    return group.conv_values * rules.conv_bits // 8 + group.ssm_values * bits // 8

"""The layers of each kind of stack: parts and caches. Floor 3, pure."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from generator.architecture.attention import compressed, grouped, latent, linear
from generator.architecture.experts import Experts, dense, mixture, sparse_layers
from generator.architecture.families import Family
from generator.architecture.fields import MAX_LAYERS, Fields
from generator.architecture.parts import Part, vector
from generator.architecture.shape import CacheGroup
from generator.architecture.tables import Sizes, parts_of
from generator.architecture.windows import LINEAR, head_counts, heads_of, layer_types, own_values, window_of
from generator.quantity import ceil_to
from generator.readers.resources import shipped


@dataclass(frozen=True)
class Context:
    """The sizes that every stack needs."""

    fields: Fields
    family: Family
    layers: int
    hidden: int
    width: int
    tokens: int
    experts: Experts | None


@dataclass
class Stack:
    """Parts with their layers, caches of one layer with the number of layers, and the head shape for the summary."""

    parts: list[tuple[list[Part], list[int]]] = field(default_factory=list)
    caches: dict[CacheGroup, int] = field(default_factory=dict)
    heads: int = 0
    kv_heads: int = 0
    head_dim: int = 0
    rotary_dim: int | None = None

    def add(self, parts: list[Part], layers: list[int], *caches: CacheGroup) -> None:
        """The same parts and caches in each of `layers`."""
        if layers:
            self.parts.append((parts, layers))
            for cache in caches:
                self.caches[cache] = self.caches.get(cache, 0) + len(layers)


Value = TypeVar("Value", bound=Hashable)


def _split(values: Sequence[Value], layers: Sequence[int] | None = None) -> Iterator[tuple[Value, list[int]]]:
    """Distinct values with the layers that have them: all, or those of `layers`."""
    found: dict[Value, list[int]] = {}
    for layer, value in zip(layers or range(len(values)), values, strict=True):
        found.setdefault(value, []).append(layer)
    yield from found.items()


def _norms(context: Context) -> list[Part]:
    """Norms as wide as the hidden state: before attention, before the feed-forward layer, and after each."""
    names = ("attn_norm", "ffn_norm", "post_attention_norm", "post_ffw_norm")[: context.family.norms]
    norms = [vector(name, "norm", context.hidden) for name in names]
    if context.family.norm_bias:
        norms += [vector(f"{name}.bias", "norm", context.hidden) for name in names]
    return norms


def _feed_forward(context: Context, stack: Stack, own_kv: int, beside: bool) -> None:
    """Dense layers and mixtures; `beside`: each layer has both. Layers from `own_kv` on reuse keys and values."""
    fields, family, experts, every = context.fields, context.family, context.experts, range(context.layers)
    if family.twin_layers or family.stack == "shared-kv":
        sparse, some = [i for i in every if beside or (family.twin_layers and i % 2 == 0)], list(every)
    else:
        mixed = sparse_layers(fields, context.layers) if experts else [False] * context.layers
        sparse, some = [i for i in every if mixed[i]], [i for i in every if not mixed[i]]
    wide = 2 if fields.flag("use_double_wide_mlp") else 1
    for factor, layers in ((1, [i for i in some if i < own_kv]), (wide, [i for i in some if i >= own_kv])):
        stack.add(dense(factor * context.width, context.hidden, family, fields), layers)
    if experts and sparse:
        if fields.word("topk_method").endswith("greedy"):  # DeepSeek-V2: no correction bias yet
            family = replace(family, router_bias=False)
        stack.add(mixture(experts, context.hidden, family), sparse)


def standard(context: Context) -> Stack:
    """Attention (grouped-query or latent), layers that keep a state, and a feed-forward part per layer. The last `num_kv_shared_layers`
    reuse keys and values of those before them, and may be wider (Gemma 4)."""
    fields, family, stack = context.fields, context.family, Stack()
    own_kv = context.layers - min(context.layers, fields.integer("num_kv_shared_layers", low=0, default=0))
    types = layer_types(fields, family, context.layers)
    for (word, shares, own), layers in _split([(word, i >= own_kv, own_values(fields, i)) for i, word in enumerate(types)]):
        some = replace(context, fields=fields.changed(own))
        if word == LINEAR or family.linear_beside:
            parts, cache = linear(family.linear, some.fields, context.hidden)
            stack.add(parts, layers, cache)
        if word != LINEAR and family.stack == "latent":
            _latent(some, stack, word, layers)
        elif word != LINEAR:
            _grouped(some, stack, word, layers, shares)
    if not stack.heads:
        raise fields.problem("layer_types", "names no layer with attention, which is not understood")
    beside = bool(context.experts) and family.stack == "shared-kv" and fields.flag("enable_moe_block")
    sizes = Sizes("per-layer input", fields, {"hidden": context.hidden, "moe": beside})
    stack.add(_norms(context) + parts_of("per-layer input", sizes, "other"), list(range(context.layers)))
    _feed_forward(context, stack, own_kv, beside)
    for parts, layers in (*_mixed_streams(fields, context.hidden, context.layers), *_ngram_layers(fields, context.hidden, context.layers)):
        stack.add(parts, layers)
    return stack


def _grouped(context: Context, stack: Stack, word: str, layers: list[int], shares: bool) -> None:
    """Grouped-query attention of one type, full or over a window; with keys and values of its own unless it `shares` others'."""
    fields, family = context.fields, context.family
    full = head_counts(fields, family, context.hidden)
    stack.heads, stack.kv_heads, stack.head_dim = full.query, full.kv, full.key_dim
    heads = replace(heads_of(fields, full, family, word, context.tokens), own_kv=not shares)
    counts = fields.integers("num_attention_heads_per_layer", context.layers, 1) or [heads.query] * context.layers
    indexed = _indexed(fields, layers)
    for (query, index), some in _split([(counts[i], i in indexed) for i in layers], layers):
        parts, cache = grouped(replace(heads, query=query), context.hidden, family, fields), heads.cache
        if index:
            more, size = _sparse_index(fields, context.hidden)
            parts, cache = parts + more, replace(cache, index_bytes=size)
        stack.add(parts, some, *([] if shares else [cache]))


def _latent(context: Context, stack: Stack, word: str, layers: list[int]) -> None:
    """Latent attention, with an indexer where the config has one (and possibly shared between layers)."""
    fields = context.fields
    window = window_of(fields, word, context.tokens)
    kinds = fields.sequence("indexer_types", str, context.layers) or ["full"] * context.layers
    for kind, some in _split([kinds[i] for i in layers], layers):
        indexer = fields.has("index_topk") and kind == "full" and not window
        parts, cache, rope = latent(fields, context.hidden, context.family, indexer)
        stack.add(parts, some, CacheGroup("sliding", 1, 1, cache.latent_dim, 0, window) if window else cache)
    stack.heads = fields.integer("num_attention_heads")
    stack.kv_heads, stack.head_dim = 1, cache.latent_dim
    stack.rotary_dim = 0 if fields.flag("mla_use_nope", "use_mla_nope") else rope


def _indexed(fields: Fields, layers: list[int]) -> list[int]:
    """Layers whose sparse attention has an indexer of its own (MiniMax-M3, Qwen3.8-Flash-Next)."""
    if fields.has("indexer_n_heads"):
        return layers
    sparse = fields.child("sparse_attention_config")
    if sparse is None or not sparse.flag("use_sparse_attention", default=True):
        return []
    chosen = sparse.integers("sparse_attention_freq", max(layers) + 1)
    return [i for i in layers if chosen is None or chosen[i]]


def _sparse_index(fields: Fields, hidden: int) -> tuple[list[Part], int]:
    """Query and key projections of that indexer; its keys, one of `indexer_compress_ratio` tokens, are cached in 16 bits."""
    sparse = fields.child("sparse_attention_config") or fields
    sizes = Sizes("sparse indexer", sparse, {"hidden": hidden})
    return parts_of("sparse indexer", sizes, "attention", "self_attn"), 2 * sizes["dim"] // fields.integer("indexer_compress_ratio", high=1024, default=1)


def _mixed_streams(fields: Fields, hidden: int, layers: int) -> list[tuple[list[Part], list[int]]]:
    """Around attention and the feed-forward layer `hc_count` streams become one, by a gate of low rank, and the output goes to each."""
    if not fields.has("hc_count"):
        return []
    sizes = Sizes("streams", fields, {"hidden": hidden})
    read, write = parts_of("streams", sizes, "other"), parts_of("streams out", sizes, "other")
    return [([*read, *write] * 2, list(range(layers))), (read, [layers - 1])]  # the last streams are read once more


def _ngram_layers(fields: Fields, hidden: int, layers: int) -> list[tuple[list[Part], list[int]]]:
    """In `ple_layer_ids` (from 1 on) a token adds the rows of its last n-grams: a table, key and value projections, a short convolution."""
    chosen = [layer - 1 for layer in fields.sequence("ple_layer_ids", int) or ()]
    if any(not 0 <= layer < layers for layer in chosen):
        raise fields.problem("ple_layer_ids", f"must name layers from 1 to {layers}")
    return [(parts_of("n-grams", Sizes("n-grams", fields, {"hidden": hidden}), "other"), chosen)] if chosen else []


def mixers(context: Context) -> Stack:
    """One mixer per layer: Mamba-2, attention, a dense feed-forward layer or a mixture of experts."""
    fields, stack = context.fields, Stack()
    wanted = hybrid_blocks(fields)
    full = head_counts(fields, context.family, context.hidden)
    stack.heads, stack.kv_heads, stack.head_dim = full.query, full.kv, full.key_dim
    for word, layers in _split(wanted):
        if word == "mamba":
            parts, cache = linear("mamba-2", fields, context.hidden, "mixer")
            stack.add(parts, layers, cache)
        elif word == "attention":
            stack.add(grouped(full, context.hidden, context.family, fields), layers, full.cache)
        elif word == "mlp":
            stack.add(dense(context.width, context.hidden, context.family, fields), layers)
        elif context.experts:
            stack.add(mixture(context.experts, context.hidden, context.family), layers)
        else:
            raise fields.missing("n_routed_experts")
    stack.add(_norms(context), list(range(context.layers)))
    return stack


def hybrid_blocks(fields: Fields) -> list[str]:
    """The mixer of each layer: mamba, attention, mlp or moe."""
    words = shipped("layers.json")["mixers"]
    given = fields.sequence("layers_block_type", str) or list(fields.word("hybrid_override_pattern"))
    key = "layers_block_type" if fields.has("layers_block_type") else "hybrid_override_pattern"
    if len(given) > MAX_LAYERS:
        raise fields.problem(key, f"must not have more than {MAX_LAYERS} layers")
    if not given:
        raise fields.missing("hybrid_override_pattern", "layers_block_type")
    wrong = next((word for word in given if word not in words), None)
    if wrong is not None:
        raise fields.problem("hybrid_override_pattern", f"names the unknown layer type {wrong[:20]!r}")
    return [words[word] for word in given]


def compressed_layers(context: Context) -> Stack:
    """Compressed attention, mixtures in every layer, and hyper-connections between the layers (kept in fp32)."""
    fields, stack = context.fields, Stack()
    ratios = fields.integers("compress_ratios", context.layers, 0, 1 << 20)
    if ratios is None:
        raise fields.missing("compress_ratios")
    for ratio, layers in _split(ratios[: context.layers]):
        parts, caches = compressed(fields, context.hidden, ratio)
        stack.add(parts, layers, *caches)
    mixing = parts_of("hyper-connections", Sizes("hyper-connections", fields, {"hidden": context.hidden}), "other")
    stack.add(_norms(context) + mixing, list(range(context.layers)))
    if context.experts is None:
        raise fields.missing("n_routed_experts")
    stack.add(mixture(context.experts, context.hidden, context.family), list(range(context.layers)))
    hashed = min(context.layers, fields.integer("num_hash_layers", low=0, default=0))
    table = Part("ffn_tid2eid", "router", fields.integer("vocab_size"), 4 * context.experts.used, linear=False)
    stack.add([table], list(range(hashed)))
    stack.heads, stack.kv_heads = fields.integer("num_attention_heads"), 1
    stack.head_dim, stack.rotary_dim = fields.integer("head_dim"), fields.integer("qk_rope_head_dim")
    return stack


def blocks(context: Context) -> Stack:
    """Each block has its own heads and width, or none (Nemotron-NAS)."""
    fields, stack, hidden = context.fields, Stack(), context.hidden
    configs = fields.sequence("block_configs", dict, context.layers)
    if configs is None:
        raise fields.missing("block_configs")
    heads = fields.integer("num_attention_heads")
    dim = fields.integer("head_dim", default=max(1, hidden // heads))
    for layer, block in enumerate(configs[: context.layers]):
        entry = Fields(block, fields.place, f"{fields.where}block_configs.")
        attention, ffn = entry.child("attention"), entry.child("ffn")
        if attention is not None and not attention.flag("no_op") and not attention.flag("replace_with_linear"):
            group = attention.integer("n_heads_in_group", high=heads)
            full = replace(head_counts(fields, context.family, hidden), kv=heads // group, key_dim=dim)
            stack.kv_heads = max(stack.kv_heads, full.kv)
            stack.add(grouped(full, hidden, context.family, fields), [layer], full.cache)
            stack.add([vector("attn_norm", "norm", hidden)], [layer])
        elif attention is not None and attention.flag("replace_with_linear"):
            stack.add([Part("attn_output", "attention", hidden, hidden, module="self_attn.linear_attn")], [layer])
        if ffn is not None and not ffn.flag("no_op"):
            thirds = int(2 * ffn.number("ffn_mult", 0.001, 64, 0) * hidden / 3)
            width = max(1, ceil_to(thirds, 256))  # as Nemotron-NAS rounds
            stack.add([vector("ffn_norm", "norm", hidden), *dense(width, hidden, context.family, fields)], [layer])
    stack.heads, stack.head_dim = heads, dim
    stack.kv_heads = stack.kv_heads or heads
    return stack


STACKS = {**dict.fromkeys(("grouped", "latent", "shared-kv"), standard), "mixers": mixers, "compressed": compressed_layers, "blocks": blocks}

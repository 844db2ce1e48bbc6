"""Residual streams that a layer mixes (gated hyper-connections), and layers that look n-grams up in a table (Qwen3.8-Flash-Next).

Floor 3, pure. All of it but the table is in 16 bits, and every GPU has all of it."""

from __future__ import annotations

from generator.architecture.fields import Fields
from generator.architecture.parts import Part, vector

Placed = list[tuple[list[Part], list[int]]]


def mixed_streams(fields: Fields, hidden: int, layers: int) -> Placed:
    """Around attention and the feed-forward layer `hc_count` streams become one, by a gate of low rank, and the output goes to each."""
    if not fields.has("hc_count"):
        return []
    wide, rank = fields.integer("hc_count", high=64) * hidden, fields.integer("hc_lowrank")
    read = [Part("hc_down", "other", rank, wide), Part("hc_up", "other", wide, rank), vector("hc_norm", "norm", wide)]
    write = Part("hc_inject", "other", wide // hidden, wide)
    return [([*read, write] * 2, list(range(layers))), (read, [layers - 1])]  # the last streams are read once more


def ngram_layers(fields: Fields, hidden: int, layers: int) -> Placed:
    """In `ple_layer_ids` (from 1 on) a token adds the rows of its last n-grams: a table, key and value projections, a short convolution.

    Each head of an n-gram has the next prime above `ngram_vocab_size_base` rows, counted as the base: 5 rows in a million are missing."""
    chosen = [layer - 1 for layer in fields.sequence("ple_layer_ids", int) or ()]
    if any(not 0 <= layer < layers for layer in chosen):
        raise fields.problem("ple_layer_ids", f"must name layers from 1 to {layers}")
    if not chosen:
        return []
    heads = (fields.integer("ngram_size", low=2, high=64) - 1) * fields.integer("heads_per_ngram", high=4096)
    width, wide = fields.integer("ple_embed_dim", default=hidden), fields.integer("hc_count", high=64, default=1) * hidden
    rows, module = heads * fields.integer("ngram_vocab_size_base", high=1 << 32), "ple.ple_embedding.ngram_embedding"
    table = Part("per_layer_token_embd", "lookup", rows, width // heads, "vocab", module, linear=False)
    convolution = Part("ple_conv1d", "other", wide, fields.integer("ple_conv_kernel_size", high=1024), linear=False)
    norms = [vector(f"ple_norm_{name}", "norm", wide) for name in ("key", "query", "conv")]
    return [([table, Part("ple_kv", "other", wide + hidden, width), convolution, *norms], chosen)]

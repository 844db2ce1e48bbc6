"""Residual streams that a layer mixes (gated hyper-connections), and layers that look n-grams up in a table (Qwen3.8-Flash-Next).

Floor 3, pure but for the tables. All of it but the table is in 16 bits, and every GPU has all of it."""

from __future__ import annotations

from generator.architecture.fields import Fields
from generator.architecture.parts import Part
from generator.architecture.tables import Sizes, parts_of

Placed = list[tuple[list[Part], list[int]]]


def mixed_streams(fields: Fields, hidden: int, layers: int) -> Placed:
    """Around attention and the feed-forward layer `hc_count` streams become one, by a gate of low rank, and the output goes to each."""
    if not fields.has("hc_count"):
        return []
    sizes = Sizes("streams", fields, {"hidden": hidden})
    read, write = parts_of("streams", sizes, "other"), parts_of("streams out", sizes, "other")
    return [([*read, *write] * 2, list(range(layers))), (read, [layers - 1])]  # the last streams are read once more


def ngram_layers(fields: Fields, hidden: int, layers: int) -> Placed:
    """In `ple_layer_ids` (from 1 on) a token adds the rows of its last n-grams: a table, key and value projections, a short convolution."""
    chosen = [layer - 1 for layer in fields.sequence("ple_layer_ids", int) or ()]
    if any(not 0 <= layer < layers for layer in chosen):
        raise fields.problem("ple_layer_ids", f"must name layers from 1 to {layers}")
    return [(parts_of("n-grams", Sizes("n-grams", fields, {"hidden": hidden}), "other"), chosen)] if chosen else []

"""Full-attention and sliding-window layers, in the config form of each family. Floor 3, pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from generator.architecture.attention import Heads
from generator.architecture.families import Family
from generator.architecture.fields import MAX_TOKENS, Fields
from generator.errors import fail
from generator.readers.resources import shipped

FULL, SLIDING, CHUNKED = "full_attention", "sliding_attention", "chunked_attention"
LINEAR = "linear_attention"
"""Layers with a state instead of keys and values."""


def layer_types(fields: Fields, family: Family, layers: int) -> list[str]:
    """The attention type of each layer: full, sliding, chunked or linear."""
    given = fields.sequence("layer_types", str, layers)
    if given is not None:
        spelled = shipped("layers.json")["types"]
        wrong = next((word for word in given[:layers] if word not in spelled and not word.endswith("sparse_attention")), None)
        if wrong is not None:
            message = f"model config: {fields.where}layer_types names the unknown type {wrong[:40]!r}"
            raise fail("unknown-architecture", message, fields.place)
        return [spelled.get(word, FULL) for word in given[:layers]]
    sliding, attending = marked("sliding", fields, layers), marked("attention", fields, layers)
    if sliding is not None:
        return [SLIDING if slides else FULL for slides in sliding]
    if attending is not None:
        return [FULL if attends else LINEAR for attends in attending]
    pattern_word = fields.values.get("sliding_window_pattern")
    if isinstance(pattern_word, str) and pattern_word:  # EXAONE: LLLG
        return [FULL if pattern_word[i % len(pattern_word)] == "G" else SLIDING for i in range(layers)]
    every = fields.integer("sliding_window_pattern", low=0, high=4096, default=0)
    if family.windows == "chunked" and not fields.integer("attention_chunk_size", low=0, high=MAX_TOKENS, default=0):
        return [FULL] * layers
    if every:
        windowed = CHUNKED if family.windows == "chunked" else SLIDING
        return [windowed if (i + 1) % every else FULL for i in range(layers)]
    # elsewhere `sliding_window` is a leftover, or `use_sliding_window` is false in every published config
    return [SLIDING if family.windows == "everywhere" and fields.has("sliding_window") else FULL] * layers


def own_values(fields: Fields, layer: int) -> tuple[tuple[str, int], ...]:
    """What `per_layer_config` says of one layer, where it differs from the config: whole numbers, by key."""
    config = fields.child("per_layer_config")
    entry = config and config.child(f"{layer:02d}", str(layer))
    return tuple((key, entry.integer(key, low=0)) for key in sorted(entry.values)) if entry else ()


def marked(what: str, fields: Fields, layers: int) -> list[bool] | None:
    """Which layers the config marks, in the first form of `rules/layers.json` that it uses; None where it uses none."""
    for row in shipped("layers.json")[what]:
        form, key = next(iter(row.items()))
        inside = fields.child(row["in"]) if "in" in row else fields
        if inside is None or not fields.has(row.get("with", key)) or ("listed" in row and not isinstance(inside.values.get(key), list)):
            continue
        if form == "flags":
            return [bool(value) for value in (inside.integers(key, layers) or [])[:layers]]
        if form == "words":
            return [word == row["is"] for word in (inside.sequence(key, str, layers) or [])[:layers]]
        if form == "numbers":
            said = inside.values.get(key)
            numbers = said.replace(" ", "").split(",") if isinstance(said, str) else inside.sequence(key, int) or ()
            chosen = set(map(str, numbers))
            return [str(i + row.get("from", 0)) in chosen for i in range(layers)]
        size = inside.integer(key, low=row.get("low", 1), high=4096, default=row.get("default"))
        if form == "groups":
            return [(i + 1) % size == 0 or i >= layers // size * size for i in range(layers)]
        at = inside.integer(row["offset"], low=0, high=4096, default=0) if "offset" in row else size - 1
        return [size > 0 and i % size == at for i in range(layers)]
    return None


def window_of(fields: Fields, word: str, context: int) -> int:
    """Tokens kept by a layer of type `word`; 0 for all, also if the window covers the whole context."""
    if word == CHUNKED:
        size = fields.integer("attention_chunk_size", high=MAX_TOKENS)
    elif word == SLIDING:
        size = fields.integer("sliding_window", "sliding_window_size", low=0, high=MAX_TOKENS)
    else:
        return 0
    return size if 0 < size < context else 0


def head_counts(fields: Fields, family: Family, hidden: int) -> Heads:
    """Heads of a full-attention layer."""
    query = fields.integer("num_attention_heads", "n_head", "num_heads", "n_heads")
    if not fields.has("head_dim", "attention_head_dim", "kv_channels") and hidden % query:
        raise fields.problem("num_attention_heads", f"does not divide hidden_size, {hidden}, and head_dim is missing")
    dim = fields.integer("head_dim", "attention_head_dim", "kv_channels", default=max(1, hidden // query))
    if fields.has("multi_query"):
        new = fields.flag("new_decoder_architecture")
        single = 1 if fields.flag("multi_query") and not new else query
        kv = fields.integer("num_kv_heads", "n_head_kv", default=query) if new else single
    else:
        kv = fields.integer("num_key_value_heads", "multi_query_group_num", "num_kv_heads", "n_head_kv", default=query)
    if query % kv:
        raise fields.problem("num_key_value_heads", f"must divide the number of attention heads, {query}")
    gate, sinks = fields.flag("attn_output_gate"), family.sinks or fields.flag("add_full_attention_sink_bias")
    return _said(Heads(query, kv, dim, dim, gate=gate, sinks=sinks), fields, family.heads.get("all", {}))


def heads_of(fields: Fields, full: Heads, family: Family, word: str, context: int) -> Heads:
    """Heads of a layer of type `word`, if different from full attention."""
    heads = replace(full, window=window_of(fields, word, context), chunked=word == CHUNKED)
    return _said(heads, fields, family.heads.get(word.partition("_")[0], {}))


def _said(heads: Heads, fields: Fields, keys: Mapping[str, str]) -> Heads:
    """The heads with what the config says under `keys`; `a.b` is the key b inside a."""
    changes: dict[str, int | bool] = {}
    for name, key in keys.items():
        outer, _, inner = key.rpartition(".")
        inside = fields.child(outer) if outer else fields
        if name in ("value_is_key", "sinks"):
            changes[name] = inside is not None and inside.flag(inner)
        elif inside is not None:
            changes[name] = inside.integer(inner, default=getattr(heads, name))
    return replace(heads, **changes)  # type: ignore[arg-type]  # the schema knows the names

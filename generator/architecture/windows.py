"""Full-attention and sliding-window layers, in the config form of each family.

Floor 3, pure.
"""

from __future__ import annotations

from dataclasses import replace

from generator.architecture.attention import Heads
from generator.architecture.families import Family
from generator.architecture.fields import MAX_TOKENS, Fields
from generator.errors import fail

FULL, SLIDING, CHUNKED = "full_attention", "sliding_attention", "chunked_attention"
LINEAR, MAMBA = "linear_attention", "mamba"
_SPELLINGS = {"attention": FULL, "sparse": FULL}


def layer_types(fields: Fields, kind: str, layers: int) -> list[str]:
    """The attention type of each layer: full, sliding, chunked or linear."""
    given = fields.sequence("layer_types", str, layers)
    if given is not None:
        words = [_SPELLINGS.get(word, word) for word in given[:layers]]
        wrong = next((w for w in words if w not in (FULL, SLIDING, CHUNKED, LINEAR, MAMBA)), None)
        if wrong is not None:
            message = f"model config: {fields.where}layer_types names the unknown type {wrong[:40]!r}"
            raise fail("unknown-architecture", message, fields.place)
        return words
    pattern = fields.integers("hybrid_layer_pattern", layers)
    if pattern is not None:  # MiMo-V2: 1 is sliding
        return [SLIDING if value else FULL for value in pattern[:layers]]
    if fields.has("linear_num_key_heads"):
        every = fields.integer("full_attention_interval", default=4, high=4096)
        return [LINEAR if (i + 1) % every else FULL for i in range(layers)]
    if kind == "llama4_text":
        if fields.integer("attention_chunk_size", low=0, high=MAX_TOKENS, default=0) == 0:
            return [FULL] * layers
        return [CHUNKED if (i + 1) % 4 else FULL for i in range(layers)]
    if kind == "gemma2":
        return [SLIDING if i % 2 == 0 else FULL for i in range(layers)]
    pattern_word = fields.values.get("sliding_window_pattern")
    if isinstance(pattern_word, str) and pattern_word:  # EXAONE: LLLG
        return [FULL if pattern_word[i % len(pattern_word)] == "G" else SLIDING for i in range(layers)]
    every = fields.integer("sliding_window_pattern", low=0, high=4096, default=0)
    if kind.startswith("gemma3") or kind in ("cohere2", "exaone4"):
        every = every or (6 if kind.startswith("gemma3") else 4)
        return [SLIDING if (i + 1) % every else FULL for i in range(layers)]
    if kind == "gpt_oss":
        return [SLIDING if i % 2 == 0 else FULL for i in range(layers)]
    if fields.has("sliding_window") and _window_everywhere(fields, kind):
        return [SLIDING] * layers
    return [FULL] * layers


def _window_everywhere(fields: Fields, kind: str) -> bool:
    """Whether `sliding_window` applies to every layer, instead of being a leftover."""
    if kind.startswith(("qwen", "mimo", "glm", "granite", "nemotron", "ministral3", "olmo2", "minicpm", "stablelm")):
        return False  # use_sliding_window is false in every published config, or the key is a leftover
    return kind in ("mistral", "mixtral", "phi3", "phimoe", "starcoder2", "llama")


def window_of(fields: Fields, word: str, context: int) -> int:
    """Tokens kept by a layer of type `word`; 0 for all, also if the window covers the whole context."""
    if word == CHUNKED:
        size = fields.integer("attention_chunk_size", high=MAX_TOKENS)
    elif word == SLIDING:
        size = fields.integer("sliding_window", "sliding_window_size", low=0, high=MAX_TOKENS)
    else:
        return 0
    return size if 0 < size < context else 0


def head_counts(fields: Fields, family: Family, kind: str, hidden: int) -> Heads:
    """Heads of a full-attention layer."""
    query = fields.integer("num_attention_heads", "n_head", "num_heads", "n_heads")
    if not fields.has("head_dim", "attention_head_dim", "kv_channels") and hidden % query:
        raise fields.problem("num_attention_heads", f"does not divide hidden_size, {hidden}, and head_dim is missing")
    dim = fields.integer("head_dim", "attention_head_dim", "kv_channels", default=max(1, hidden // query))
    if kind == "falcon":
        new = fields.flag("new_decoder_architecture")
        single = 1 if fields.flag("multi_query", default=True) and not new else query
        kv = fields.integer("num_kv_heads", "n_head_kv", default=query) if new else single
    elif kind == "gpt_bigcode":
        kv = 1 if fields.flag("multi_query", default=True) else query
    else:
        kv = fields.integer("num_key_value_heads", "multi_query_group_num", "num_kv_heads", "n_head_kv", default=query)
    if query % kv:
        raise fields.problem("num_key_value_heads", f"must divide the number of attention heads, {query}")
    value = fields.integer("v_head_dim", default=dim) if kind == "mimo_v2_flash" else dim
    sinks = family.sinks and kind != "mimo_v2_flash"
    gate = fields.flag("attn_output_gate", default=kind == "qwen3_next")
    return Heads(query, kv, dim, value, gate=gate, sinks=sinks or fields.flag("add_full_attention_sink_bias"))


def heads_of(fields: Fields, full: Heads, kind: str, word: str, context: int) -> Heads:
    """Heads of a layer of type `word`, if different from full attention."""
    window = window_of(fields, word, context)
    heads = replace(full, window=window, chunked=word == CHUNKED)
    if kind == "mimo_v2_flash" and word == SLIDING:
        dim = fields.integer("swa_head_dim", default=full.key_dim)
        return replace(
            heads,
            query=fields.integer("swa_num_attention_heads", default=full.query),
            kv=fields.integer("swa_num_key_value_heads", default=full.kv),
            key_dim=dim,
            value_dim=fields.integer("swa_v_head_dim", default=full.value_dim),
            sinks=fields.flag("add_swa_attention_sink_bias"),
        )
    if kind == "gemma4_text" and word == FULL:
        dim = fields.integer("global_head_dim", default=full.key_dim)
        kv = fields.integer("num_global_key_value_heads", default=full.kv)
        return replace(heads, kv=kv, key_dim=dim, value_dim=dim, value_is_key=fields.flag("attention_k_eq_v"))
    other = fields.child("attention_other_setting")
    if kind.startswith("step3p") and word == SLIDING and other is not None:
        return replace(
            heads,
            query=other.integer("num_attention_heads", default=full.query),
            kv=other.integer("num_attention_groups", default=full.kv),
        )
    return heads

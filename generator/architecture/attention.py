"""Attention: the matrices and the cache of one layer (grouped-query, latent, with an indexer, DeepSeek-V4's). Floor 3, pure."""

from __future__ import annotations

from generator.architecture.families import Family
from generator.architecture.fields import Fields
from generator.architecture.parts import Part, biased, vector
from generator.architecture.shape import CacheGroup
from generator.record import dataclass

INDEX_BYTES = 132
"""Bytes per token and layer of a sparse-attention indexer: 128 FP8 values and an fp32 scale (vLLM, SGLang)."""


@dataclass(frozen=True, slots=True)
class Heads:
    """One kind of attention layer; `window` 0 means every token is kept."""

    query: int
    kv: int
    key_dim: int
    value_dim: int
    window: int = 0
    chunked: bool = False
    own_kv: bool = True
    value_is_key: bool = False
    gate: bool = False
    sinks: bool = False

    @property
    def cache(self) -> CacheGroup:
        """The cache of one such layer."""
        kind = "sliding" if self.window else "full"
        return CacheGroup(kind, 1, self.kv, self.key_dim, self.value_dim, self.window, chunked=self.chunked)  # type: ignore[arg-type]


def grouped(heads: Heads, hidden: int, family: Family, fields: Fields) -> list[Part]:
    """Query, key, value and output projections, with their biases and norms."""
    flag = fields.flag("attention_bias", "qkv_bias", "add_qkv_bias", "bias", "use_bias", "use_qkv_bias")
    qkv_bias = flag if family.qkv_bias == "config" else family.qkv_bias
    if family.qkv_bias is True and fields.has("qkv_bias"):
        qkv_bias = fields.flag("qkv_bias")
    out_bias = flag if family.out_bias == "config" else family.out_bias
    if fields.has("attention_out_bias"):
        out_bias = fields.flag("attention_out_bias")
    base = f"{family.attn}." if family.attn else ""
    query = heads.query * heads.key_dim * (2 if heads.gate else 1)
    key, value = heads.kv * heads.key_dim, heads.kv * heads.value_dim
    parts: list[Part] = []
    if family.fused_qkv:
        fused = Part("attn_qkv", "attention", query + key + value, hidden, "column", f"{base}qkv_proj", heads=heads.kv)
        parts += biased(fused, qkv_bias)
    else:
        parts += biased(Part("attn_q", "attention", query, hidden, "column", f"{base}q_proj"), qkv_bias)
        if heads.own_kv:
            k = Part("attn_k", "attention", key, hidden, "column", f"{base}k_proj", heads=heads.kv)
            parts += biased(k, qkv_bias)
        if heads.own_kv and not heads.value_is_key:
            v = Part("attn_v", "attention", value, hidden, "column", f"{base}v_proj", heads=heads.kv)
            parts += biased(v, qkv_bias)
    out = Part("attn_output", "attention", hidden, heads.query * heads.value_dim, "row", f"{base}o_proj")
    parts += biased(out, out_bias) + _gate(fields, family, heads.query, heads.value_dim, hidden)
    if heads.sinks:
        parts.append(vector("attn_sinks", "attention", heads.query, "column"))
    parts += _qk_norms(heads, family, fields)
    return parts


_GATES = {**dict.fromkeys(("per-head", "head_wise"), "head"), **dict.fromkeys(("per-element", "element_wise"), "full")}


def _gate(fields: Fields, family: Family, heads: int, value_dim: int, hidden: int) -> list[Part]:
    """The projection that gates the attention's output: one value a head, or as wide as the output."""
    kind: str = family.attn_gate
    if kind == "config":
        said = fields.values.get("gating", fields.values.get("gated_attention_proj_granularity_type"))
        kind = "head" if said is True or fields.flag("use_head_wise_attn_gate") else _GATES.get(str(said), "")
    elif fields.flag("mla_use_output_gate"):
        kind = "full"
    rows = {"head": heads, "full": heads * value_dim}.get(kind)
    return [Part("attn_gate", "attention", rows, hidden, "column", f"{family.attn}.g_proj")] if rows else []


def _qk_norms(heads: Heads, family: Family, fields: Fields) -> list[Part]:
    """Norms of query and key, if the family has them."""
    norm = family.qk_norm
    if norm == "flag":
        norm = "head" if fields.flag("use_qk_norm") else ""
    if not norm:
        return []
    if norm == "full":
        query = vector("attn_q_norm", "norm", heads.query * heads.key_dim, "column")
        return [query, vector("attn_k_norm", "norm", heads.kv * heads.key_dim, "column", heads.kv)]
    parts = [vector("attn_q_norm", "norm", heads.key_dim)]
    return parts + ([vector("attn_k_norm", "norm", heads.key_dim)] if heads.own_kv else [])


def latent(fields: Fields, hidden: int, family: Family, indexer: bool) -> tuple[list[Part], CacheGroup, int]:
    """Multi-head latent attention (DeepSeek-V2 and later): parts, cache of one layer, width of the rotary part."""
    heads = fields.integer("num_attention_heads")
    rank, rope = fields.integer("kv_lora_rank"), fields.integer("qk_rope_head_dim", low=0)
    nope, value = fields.integer("qk_nope_head_dim"), fields.integer("v_head_dim")
    lora = fields.integer("q_lora_rank", low=0, default=0)
    bias = fields.flag("attention_bias")
    base = f"{family.attn}."
    parts: list[Part] = []
    if lora:
        parts += biased(Part("attn_q_a", "attention", lora, hidden, "replicated", f"{base}q_a_proj"), bias)
        parts.append(vector("attn_q_a_norm", "norm", lora))
    query = heads * (nope + rope)
    name, module = ("attn_q_b", "q_b_proj") if lora else ("attn_q", "q_proj")
    parts.append(Part(name, "attention", query, lora or hidden, "column", base + module))
    key = Part("attn_kv_a_mqa", "attention", rank + rope, hidden, "replicated", f"{base}kv_a_proj_with_mqa")
    parts += biased(key, bias)
    parts.append(vector("attn_kv_a_norm", "norm", rank))
    parts.append(Part("attn_kv_b", "attention", heads * (nope + value), rank, "column", f"{base}kv_b_proj"))
    parts += _gate(fields, family, heads, value, hidden)
    out = Part("attn_output", "attention", hidden, heads * value, "row", f"{base}o_proj")
    parts += biased(out, bias)
    index_bytes = 0
    if indexer:
        parts += _indexer(fields, hidden, lora or hidden, base)
        index_bytes = INDEX_BYTES
    return parts, CacheGroup("latent", 1, 1, latent_dim=rank + rope, index_bytes=index_bytes), rope


def _indexer(fields: Fields, hidden: int, lora: int, base: str) -> list[Part]:
    """The lightning indexer of sparse attention (DeepSeek-V3.2, GLM-5); replicated on every GPU."""
    heads, dim = fields.integer("index_n_heads"), fields.integer("index_head_dim")
    base += "indexer."
    return [
        Part("indexer.attn_q_b", "attention", heads * dim, lora, "replicated", f"{base}wq_b"),
        Part("indexer.attn_k", "attention", dim, hidden, "replicated", f"{base}wk"),
        Part("indexer.proj", "attention", heads, hidden, "replicated", f"{base}weights_proj"),
        vector("indexer.k_norm", "norm", dim),
        vector("indexer.k_norm.bias", "norm", dim),
    ]


def compressed(fields: Fields, hidden: int, ratio: int) -> tuple[list[Part], list[CacheGroup]]:
    """DeepSeek-V4: one shared key-value head, grouped low-rank output, and every `ratio` tokens compressed to one.

    `ratio` 0 keeps the window only; ratio 4 overlaps its compression windows and has an indexer."""
    heads, dim = fields.integer("num_attention_heads"), fields.integer("head_dim")
    lora, groups, rank = fields.integer("q_lora_rank"), fields.integer("o_groups"), fields.integer("o_lora_rank")
    window = fields.integer("sliding_window")
    parts = [
        Part("attn_q_a", "attention", lora, hidden, "replicated", "attn.wq_a"), vector("attn_q_a_norm", "norm", lora),
        Part("attn_q_b", "attention", heads * dim, lora, "column", "attn.wq_b"),
        Part("attn_kv_a_mqa", "attention", dim, hidden, "replicated", "attn.wkv"), vector("attn_kv_a_norm", "norm", dim),
        Part("attn_output_a", "attention", groups * rank, heads * dim // groups, "column", "attn.wo_a"),
        Part("attn_output_b", "attention", hidden, groups * rank, "row", "attn.wo_b"), vector("attn_sinks", "attention", heads, "column"),
    ]  # fmt: skip
    caches = [CacheGroup("sliding", 1, 1, dim, 0, window)]
    if ratio:
        parts += _compressor("attn_compressor", hidden, dim, ratio, "attn.compressor.")
        caches.append(CacheGroup("latent", 1, 1, latent_dim=dim, stride=ratio))
    if ratio == 4:
        index_heads, index_dim = fields.integer("index_n_heads"), fields.integer("index_head_dim")
        base = "attn.indexer."
        parts.append(Part("indexer.attn_q_b", "attention", index_heads * index_dim, lora, "replicated", f"{base}wq_b"))
        parts.append(Part("indexer.proj", "attention", index_heads, hidden, "replicated", f"{base}weights_proj"))
        parts += _compressor("indexer.compressor", hidden, index_dim, ratio, f"{base}compressor.")
        caches[-1] = CacheGroup("latent", 1, 1, latent_dim=dim, stride=ratio, index_bytes=INDEX_BYTES)
    return parts, caches


def _compressor(name: str, hidden: int, dim: int, ratio: int, base: str) -> list[Part]:
    """The pooling of `ratio` tokens into one vector; unquantized (16 bits)."""
    width = dim * (2 if ratio == 4 else 1)
    return [
        Part(f"{name}_kv", "attention", width, hidden, linear=False, module=f"{base}wkv"),
        Part(f"{name}_gate", "attention", width, hidden, linear=False, module=f"{base}wgate"),
        Part(f"{name}_ape", "attention", ratio, width, linear=False),
        vector(f"{name}_norm", "norm", dim),
    ]

"""Attention: the matrices and the cache of one layer (grouped-query, latent, with an indexer, DeepSeek-V4's). Floor 3, pure."""

from __future__ import annotations

from generator.architecture.families import Family
from generator.architecture.fields import Fields
from generator.architecture.parts import Part, biased, vector
from generator.architecture.shape import CacheGroup
from generator.architecture.tables import Sizes, parts_of
from generator.record import dataclass

INDEX_BYTES = 132
"""Bytes per token and layer of a sparse-attention indexer: 128 FP8 values and an fp32 scale (vLLM, SGLang)."""
FP8_BLOCK = 64
"""Values that share a scale of one byte in an FP8 cache of compressed attention."""


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
        for name, rows in (("k", key), ("v", 0 if heads.value_is_key else value)):
            if heads.own_kv and rows:
                parts += biased(Part(f"attn_{name}", "attention", rows, hidden, "column", f"{base}{name}_proj", heads=heads.kv), qkv_bias)
    out = Part("attn_output", "attention", hidden, heads.query * heads.value_dim, "row", f"{base}o_proj")
    parts += biased(out, out_bias)
    if kind := _gated(fields, family):
        rows = heads.query * (heads.value_dim if kind == "full" else 1)
        parts.append(Part("attn_gate", "attention", rows, hidden, "column", f"{family.attn}.g_proj"))
    if heads.sinks:
        parts.append(vector("attn_sinks", "attention", heads.query, "column"))
    parts += _qk_norms(heads, family, fields)
    return parts


_GATES = {**dict.fromkeys(("per-head", "head_wise"), "head"), **dict.fromkeys(("per-element", "element_wise"), "full")}


def _gated(fields: Fields, family: Family) -> str:
    """How a projection gates the attention's output: by one value a `head`, in `full` width, or not at all."""
    if family.attn_gate == "config":
        said = fields.values.get("gating", fields.values.get("gated_attention_proj_granularity_type"))
        return "head" if said is True or fields.flag("use_head_wise_attn_gate") else _GATES.get(str(said), "")
    return "full" if fields.flag("mla_use_output_gate") else family.attn_gate


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
    kind, module = _gated(fields, family), f"{family.attn}."
    sizes = Sizes("latent", fields, {"hidden": hidden, "gate_head": int(kind == "head"), "gate_full": int(kind == "full")})
    found = parts_of("latent", sizes, "attention", module)
    if indexer:
        queries = Sizes("indexer", fields, {"hidden": hidden, "query": sizes["lora"] or hidden})
        found += parts_of("indexer", queries, "attention", f"{module}indexer.")
    latent_dim = sizes["rank"] + sizes["rope"]
    return found, CacheGroup("latent", 1, 1, latent_dim=latent_dim, index_bytes=INDEX_BYTES if indexer else 0), sizes["rope"]


def compressed(fields: Fields, hidden: int, ratio: int) -> tuple[list[Part], list[CacheGroup]]:
    """DeepSeek-V4: one shared key-value head, grouped low-rank output, and every `ratio` tokens compressed to one.

    `ratio` 0 keeps the window only; ratio 4 overlaps its compression windows and has an indexer."""
    sizes = Sizes("compressed", fields, {"hidden": hidden})
    found, dim = parts_of("compressed", sizes, "attention", "attn."), sizes["dim"]
    beside = fields.integer("qk_rope_head_dim") + dim // FP8_BLOCK
    caches = [CacheGroup("sliding", 1, 1, dim, 0, sizes["window"], fp8_bytes=beside)]
    overlaps = ratio == 4
    if ratio:
        found += _compressor("attn_compressor", hidden, dim, ratio, "attn.compressor.")
        index_bytes = INDEX_BYTES if overlaps else 0
        caches.append(CacheGroup("latent", 1, 1, latent_dim=dim, stride=ratio, index_bytes=index_bytes, fp8_bytes=beside))
        caches.append(_uncompressed(dim, ratio))
    if overlaps:
        index = Sizes("compressed indexer", fields, {"hidden": hidden, "lora": sizes["lora"]})
        found += parts_of("compressed indexer", index, "attention", "attn.indexer.")
        found += _compressor("indexer.compressor", hidden, index["dim"], ratio, "attn.indexer.compressor.")
        caches.append(_uncompressed(index["dim"], ratio))
    return found, caches


def _uncompressed(dim: int, ratio: int) -> CacheGroup:
    """Values and scores in fp32 of the tokens that are not compressed yet; overlapping windows have two of each (source `vllm-v4-compressor`)."""
    overlap = 2 if ratio == 4 else 1
    return CacheGroup("partial", 1, window=overlap * ratio, index_bytes=4 * 2 * overlap * dim)


def _compressor(name: str, hidden: int, dim: int, ratio: int, module: str) -> list[Part]:
    """The pooling of `ratio` tokens into one vector; unquantized (16 bits)."""
    sizes = Sizes("compressor", Fields({}), {"hidden": hidden, "dim": dim, "ratio": ratio, "width": dim * (2 if ratio == 4 else 1)})
    return parts_of("compressor", sizes, "attention", module, f"{name}_")

"""Attention: the matrices and the cache of one layer (grouped-query, latent, with an indexer, DeepSeek-V4's), and of layers with a state.
Floor 3, pure but for the tables. State sizes are of one layer: convolution windows in 16 bits, the recurrent state in fp32 unless the
config says otherwise."""

from __future__ import annotations

from generator.architecture.families import Family
from generator.architecture.fields import Fields
from generator.architecture.parts import Part
from generator.architecture.shape import CacheGroup
from generator.architecture.tables import Sizes, numbers_of, parts_of
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
    qkv_bias = fields.flag("qkv_bias", default=True) if family.qkv_bias is True else flag and bool(family.qkv_bias)
    out_bias = fields.flag("attention_out_bias", default=flag if family.out_bias == "config" else family.out_bias)
    norm = ("head" if fields.flag("use_qk_norm") else "") if family.qk_norm == "flag" else family.qk_norm
    given = {
        **numbers_of(family), **numbers_of(heads), **_gates(fields, family), "hidden": hidden, "qkv_bias": qkv_bias, "out_bias": out_bias,
        "norm_head": norm == "head", "norm_full": norm == "full", "own_value": heads.own_kv and not heads.value_is_key,
    }  # fmt: skip
    return parts_of("grouped", Sizes("grouped", fields, given), "attention", family.attn)


_GATES = {"per-head": "head", "head_wise": "head", "per-element": "full", "element_wise": "full"}


def _gates(fields: Fields, family: Family) -> dict[str, int]:
    """Whether a projection gates the attention's output: by one value a head, in full width, or neither."""
    gate: str = "full" if fields.flag("mla_use_output_gate") else family.attn_gate
    if family.attn_gate == "config":
        said = fields.values.get("gating", fields.values.get("gated_attention_proj_granularity_type"))
        gate = "head" if said is True or fields.flag("use_head_wise_attn_gate") else _GATES.get(str(said), "")
    return {"gate_head": gate == "head", "gate_full": gate == "full"}


def latent(fields: Fields, hidden: int, family: Family, indexer: bool) -> tuple[list[Part], CacheGroup, int]:
    """Multi-head latent attention (DeepSeek-V2 and later): parts, cache of one layer, width of the rotary part."""
    sizes = Sizes("latent", fields, {"hidden": hidden, **_gates(fields, family)})
    found = parts_of("latent", sizes, "attention", family.attn)
    if indexer:
        queries = Sizes("indexer", fields, {"hidden": hidden, "query": sizes["lora"] or hidden})
        found += parts_of("indexer", queries, "attention", f"{family.attn}.indexer")
    latent_dim = sizes["rank"] + sizes["rope"]
    return found, CacheGroup("latent", 1, 1, latent_dim=latent_dim, index_bytes=INDEX_BYTES if indexer else 0), sizes["rope"]


def compressed(fields: Fields, hidden: int, ratio: int) -> tuple[list[Part], list[CacheGroup]]:
    """DeepSeek-V4: one shared key-value head, grouped low-rank output, and every `ratio` tokens compressed to one. `ratio` 0 keeps the
    window only; ratio 4 overlaps its compression windows and has an indexer."""
    sizes = Sizes("compressed", fields, {"hidden": hidden})
    found, dim = parts_of("compressed", sizes, "attention", "attn"), sizes["dim"]
    beside = fields.integer("qk_rope_head_dim") + dim // FP8_BLOCK
    caches = [CacheGroup("sliding", 1, 1, dim, 0, sizes["window"], fp8_bytes=beside)]
    overlaps = ratio == 4
    if ratio:
        found += _compressor("attn_compressor", hidden, dim, ratio, "attn.compressor")
        index_bytes = INDEX_BYTES if overlaps else 0
        caches.append(CacheGroup("latent", 1, 1, latent_dim=dim, stride=ratio, index_bytes=index_bytes, fp8_bytes=beside))
        caches.append(_uncompressed(dim, ratio))
    if overlaps:
        index = Sizes("compressed indexer", fields, {"hidden": hidden, "lora": sizes["lora"]})
        found += parts_of("compressed indexer", index, "attention", "attn.indexer")
        found += _compressor("indexer.compressor", hidden, index["dim"], ratio, "attn.indexer.compressor")
        caches.append(_uncompressed(index["dim"], ratio))
    return found, caches


def _uncompressed(dim: int, ratio: int) -> CacheGroup:
    """Values and scores in fp32 of the tokens that are not compressed yet; overlapping windows have two of each (source `vllm-v4-compressor`)."""
    overlap = 2 if ratio == 4 else 1
    return CacheGroup("partial", 1, window=overlap * ratio, index_bytes=4 * 2 * overlap * dim)


def _compressor(name: str, hidden: int, dim: int, ratio: int, module: str) -> list[Part]:
    """The pooling of `ratio` tokens into one vector; unquantized (16 bits)."""
    sizes = Sizes("compressor", None, {"hidden": hidden, "dim": dim, "ratio": ratio, "width": dim * (2 if ratio == 4 else 1)})
    return parts_of("compressor", sizes, "attention", module, name + "_{}")


_DTYPES = {"float32": 32, "fp32": 32, "bfloat16": 16, "float16": 16, "half": 16}
_MODULES = {"mamba": "mamba", "mamba-2": "mamba", "delta": "linear_attn", "short-conv": "conv"}
"""Names of the module in a layer, by the word of the trait `linear`; `self_attn` for the others."""


def linear(kind: str, fields: Fields, hidden: int, module: str = "") -> tuple[list[Part], CacheGroup]:
    """The parts and the cache of one layer, by the word of the trait `linear`. Without a short convolution a layer of Kimi delta attention
    is lightning attention (Ling 2.5). `mamba_ssm_dtype` and `mamba_ssm_cache_dtype` name the precision of the state."""
    config, given = fields, {"hidden": hidden}
    if kind == "kimi-delta":
        config = fields.child("linear_attn_config") or fields
        given |= {"whole_layer": int(fields.flag("no_kda_lora")), "whole_gate": int(fields.flag("use_full_rank_gate"))}
        if not config.has("short_conv_kernel_size"):
            kind, config = "lightning", fields
    sizes = Sizes(kind, config, given)
    conv, ssm = sizes["conv_values"], sizes["ssm_values"]
    bits = _DTYPES.get(fields.word("mamba_ssm_dtype", "mamba_ssm_cache_dtype"), 0)
    size = 2 * conv + ssm * (bits or 32) // 8
    found = parts_of(kind, sizes, "linear_attention", module or _MODULES.get(kind, "self_attn"))
    return found, CacheGroup("state", 1, state_bytes=size, conv_values=conv, ssm_values=ssm, ssm_bits=bits)

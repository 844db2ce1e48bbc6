"""Layers with a state instead of keys and values: Mamba-2, gated delta net (Qwen3-Next), Kimi delta attention.

Floor 3, pure. State sizes are of one layer: convolution windows in 16 bits, the recurrent state in fp32 unless the
config says otherwise.
"""

from __future__ import annotations

from generator.architecture.fields import Fields
from generator.architecture.parts import Part, biased, vector
from generator.architecture.shape import CacheGroup

_DTYPES = {"float32": 32, "fp32": 32, "bfloat16": 16, "float16": 16, "half": 16}


def _state(fields: Fields, conv: int, ssm: int) -> CacheGroup:
    """The cache of one layer; `mamba_ssm_dtype` and `mamba_ssm_cache_dtype` name the precision of its state."""
    bits = _DTYPES.get(fields.word("mamba_ssm_dtype", "mamba_ssm_cache_dtype"), 0)
    size = 2 * conv + ssm * (bits or 32) // 8
    return CacheGroup("state", 1, state_bytes=size, conv_values=conv, ssm_values=ssm, ssm_bits=bits)


def mamba2(fields: Fields, hidden: int, module: str) -> tuple[list[Part], CacheGroup]:
    """Mamba-2 (Nemotron-H, Granite 4, Bamba)."""
    heads = fields.integer("mamba_num_heads", "mamba_n_heads")
    dim = fields.integer("mamba_head_dim", "mamba_d_head")
    groups = fields.integer("n_groups", "mamba_n_groups")
    state = fields.integer("ssm_state_size", "mamba_d_state")
    kernel = fields.integer("conv_kernel", "mamba_d_conv", high=1024)
    inner, conv = heads * dim, heads * dim + 2 * groups * state
    bias = fields.flag("use_bias", "mamba_proj_bias")
    into = Part("ssm_in", "linear_attention", inner + conv + heads, hidden, "column", f"{module}.in_proj")
    out = Part("ssm_out", "linear_attention", hidden, inner, "row", f"{module}.out_proj")
    parts = [
        *biased(into, bias),
        Part("ssm_conv1d", "linear_attention", conv, kernel, "column", linear=False),
        vector("ssm_conv1d.bias", "linear_attention", conv, "column"),
        vector("ssm_a", "linear_attention", heads, "column"),
        vector("ssm_d", "linear_attention", heads, "column"),
        vector("ssm_dt.bias", "linear_attention", heads, "column"),
        vector("ssm_norm", "norm", inner, "column"),
        *biased(out, bias),
    ]
    return parts, _state(fields, conv * (kernel - 1), inner * state)


def delta_net(fields: Fields, hidden: int) -> tuple[list[Part], CacheGroup]:
    """Gated delta net (Qwen3-Next, Qwen3.5)."""
    keys, values = fields.integer("linear_num_key_heads"), fields.integer("linear_num_value_heads")
    key_dim, value_dim = fields.integer("linear_key_head_dim"), fields.integer("linear_value_head_dim")
    kernel = fields.integer("linear_conv_kernel_dim", high=1024)
    key, value = keys * key_dim, values * value_dim
    conv = 2 * key + value
    base = "linear_attn."
    parts = [
        Part("attn_qkv", "linear_attention", conv, hidden, "column", f"{base}in_proj_qkv"),
        Part("attn_gate", "linear_attention", value, hidden, "column", f"{base}in_proj_z"),
        Part("ssm_ba", "linear_attention", 2 * values, hidden, "column", f"{base}in_proj_ba", linear=False),
        Part("ssm_conv1d", "linear_attention", conv, kernel, "column", linear=False),
        vector("ssm_a", "linear_attention", values, "column"),
        vector("ssm_dt.bias", "linear_attention", values, "column"),
        vector("ssm_norm", "norm", value_dim),
        Part("ssm_out", "linear_attention", hidden, value, "row", f"{base}out_proj"),
    ]
    return parts, _state(fields, conv * (kernel - 1), values * key_dim * value_dim)


def kimi_delta(fields: Fields, config: Fields, hidden: int) -> tuple[list[Part], CacheGroup]:
    """Kimi delta attention (Kimi-Linear); `fields` is its `linear_attn_config`."""
    heads, dim = fields.integer("num_heads"), fields.integer("head_dim")
    kernel = fields.integer("short_conv_kernel_size", high=1024)
    width = heads * dim
    base = "self_attn."
    parts = [
        Part(f"attn_{x}", "linear_attention", width, hidden, "column", f"{base}{x}_proj") for x in ("q", "k", "v")
    ]
    parts += [
        Part(f"ssm_conv1d_{x}", "linear_attention", width, kernel, "column", linear=False) for x in ("q", "k", "v")
    ]
    parts += [
        Part("ssm_f_a", "linear_attention", dim, hidden, "replicated", f"{base}f_a_proj"),
        Part("ssm_f_b", "linear_attention", width, dim, "column", f"{base}f_b_proj"),
        Part("ssm_beta", "linear_attention", heads, hidden, "column", f"{base}b_proj"),
        vector("ssm_a", "linear_attention", heads, "column"),
        vector("ssm_dt.bias", "linear_attention", width, "column"),
        vector("ssm_norm", "norm", dim),
        Part("attn_output", "linear_attention", hidden, width, "row", f"{base}o_proj"),
    ]
    if fields.flag("use_full_rank_gate"):
        parts.append(Part("ssm_g", "linear_attention", width, hidden, "column", f"{base}g_proj"))
    else:
        parts.append(Part("ssm_g_a", "linear_attention", dim, hidden, "replicated", f"{base}g_a_proj"))
        parts.append(Part("ssm_g_b", "linear_attention", width, dim, "column", f"{base}g_b_proj"))
    return parts, _state(config, 3 * width * (kernel - 1), width * dim)

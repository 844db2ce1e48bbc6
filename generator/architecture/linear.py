"""Layers with a state instead of keys and values: Mamba, Mamba-2, gated delta net, Kimi delta and lightning attention, short convolutions.

Floor 3, pure. State sizes are of one layer: convolution windows in 16 bits, the recurrent state in fp32 unless the config says otherwise.
"""

from __future__ import annotations

from collections.abc import Callable

from generator.architecture.fields import Fields
from generator.architecture.parts import Part, biased, vector
from generator.architecture.shape import CacheGroup

_DTYPES = {"float32": 32, "fp32": 32, "bfloat16": 16, "float16": 16, "half": 16}


def _state(fields: Fields, conv: int, ssm: int) -> CacheGroup:
    """The cache of one layer; `mamba_ssm_dtype` and `mamba_ssm_cache_dtype` name the precision of its state."""
    bits = _DTYPES.get(fields.word("mamba_ssm_dtype", "mamba_ssm_cache_dtype"), 0)
    size = 2 * conv + ssm * (bits or 32) // 8
    return CacheGroup("state", 1, state_bytes=size, conv_values=conv, ssm_values=ssm, ssm_bits=bits)


def mamba2(fields: Fields, hidden: int, module: str = "mamba") -> tuple[list[Part], CacheGroup]:
    """Mamba-2 (Nemotron-H, Granite 4, Bamba, Falcon-H1)."""
    heads = fields.integer("mamba_num_heads", "mamba_n_heads")
    dim = fields.integer("mamba_head_dim", "mamba_d_head")
    groups = fields.integer("n_groups", "mamba_n_groups")
    state = fields.integer("ssm_state_size", "mamba_d_state")
    kernel = fields.integer("conv_kernel", "mamba_d_conv", high=1024)
    inner, conv = heads * dim, heads * dim + 2 * groups * state
    bias = fields.flag("use_bias", "mamba_proj_bias")
    norm = [vector("ssm_norm", "norm", inner, "column")] if fields.flag("mamba_rms_norm", default=True) else []
    into = Part("ssm_in", "linear_attention", inner + conv + heads, hidden, "column", f"{module}.in_proj")
    out = Part("ssm_out", "linear_attention", hidden, inner, "row", f"{module}.out_proj")
    parts = [
        *biased(into, bias), Part("ssm_conv1d", "linear_attention", conv, kernel, "column", linear=False),
        vector("ssm_conv1d.bias", "linear_attention", conv, "column"), vector("ssm_a", "linear_attention", heads, "column"),
        vector("ssm_d", "linear_attention", heads, "column"), vector("ssm_dt.bias", "linear_attention", heads, "column"), *norm,
        *biased(out, bias),
    ]  # fmt: skip
    return parts, _state(fields, conv * (kernel - 1), inner * state)


def mamba(fields: Fields, hidden: int) -> tuple[list[Part], CacheGroup]:
    """Mamba (Jamba: with norms of time step, input and output)."""
    inner = fields.integer("mamba_expand", "expand", default=2, high=64) * hidden
    state = fields.integer("mamba_d_state", "state_size")
    kernel = fields.integer("mamba_d_conv", "conv_kernel", high=1024)
    rank = fields.integer("mamba_dt_rank", "time_step_rank")
    bias = fields.flag("mamba_proj_bias", "use_bias")
    parts = [
        *biased(Part("ssm_in", "linear_attention", 2 * inner, hidden, "column", "mamba.in_proj"), bias),
        Part("ssm_conv1d", "linear_attention", inner, kernel, "column", linear=False),
        vector("ssm_conv1d.bias", "linear_attention", inner, "column"),
        Part("ssm_x", "linear_attention", rank + 2 * state, inner, "row", "mamba.x_proj"),
        *biased(Part("ssm_dt", "linear_attention", inner, rank, "column", "mamba.dt_proj"), True),
        Part("ssm_a", "linear_attention", inner, state, "column", linear=False),
        vector("ssm_d", "linear_attention", inner, "column"),
        vector("ssm_norm", "norm", rank + 2 * state),
        *biased(Part("ssm_out", "linear_attention", hidden, inner, "row", "mamba.out_proj"), bias),
    ]
    return parts, _state(fields, inner * (kernel - 1), inner * state)


def short_conv(fields: Fields, hidden: int) -> tuple[list[Part], CacheGroup]:
    """A gated short convolution (LFM2): its state is the convolution's window."""
    kernel, bias = fields.integer("conv_L_cache", high=1024), fields.flag("conv_bias")
    parts = [
        *biased(Part("shortconv_in_proj", "linear_attention", 3 * hidden, hidden, "column", "conv.in_proj"), bias),
        Part("shortconv_conv", "linear_attention", hidden, kernel + int(bias), "column", linear=False),
        *biased(Part("shortconv_out_proj", "linear_attention", hidden, hidden, "row", "conv.out_proj"), bias),
    ]
    return parts, _state(fields, hidden * (kernel - 1), 0)


def lightning(fields: Fields, hidden: int) -> tuple[list[Part], CacheGroup]:
    """Lightning attention (MiniMax-Text-01, Ling 2.5): one square matrix a head, in fp32."""
    heads = fields.integer("num_attention_heads")
    dim = fields.integer("head_dim", default=max(1, hidden // heads))
    width = heads * dim
    parts = [
        Part("attn_qkv", "linear_attention", 3 * width, hidden, "column", "self_attn.qkv_proj"),
        Part("attn_gate", "linear_attention", width, hidden, "column", "self_attn.output_gate"),
        vector("ssm_norm", "norm", width, "column"),
        Part("attn_output", "linear_attention", hidden, width, "row", "self_attn.out_proj"),
    ]
    if fields.flag("use_qk_norm"):
        parts += [vector("attn_q_norm", "norm", dim), vector("attn_k_norm", "norm", dim)]
    return parts, _state(fields, 0, width * dim)


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


def kimi_delta(fields: Fields, hidden: int) -> tuple[list[Part], CacheGroup]:
    """Kimi delta attention (Kimi-Linear, Ling 3); without a short convolution the layer is lightning attention (Ling 2.5)."""
    config = fields.child("linear_attn_config") or fields
    if not config.has("short_conv_kernel_size"):
        return lightning(fields, hidden)
    heads = config.integer("linear_num_heads", "num_heads", "num_attention_heads")
    dim = config.integer("linear_head_dim", "head_dim", "v_head_dim")
    kernel = config.integer("short_conv_kernel_size", high=1024)
    width = heads * dim
    base = "self_attn."
    parts = [Part(f"attn_{x}", "linear_attention", width, hidden, "column", f"{base}{x}_proj") for x in ("q", "k", "v")]
    parts += [Part(f"ssm_conv1d_{x}", "linear_attention", width, kernel, "column", linear=False) for x in ("q", "k", "v")]
    parts += [
        Part("ssm_beta", "linear_attention", heads, hidden, "column", f"{base}b_proj"),
        vector("ssm_a", "linear_attention", heads, "column"), vector("ssm_dt.bias", "linear_attention", width, "column"),
        vector("ssm_norm", "norm", dim), Part("attn_output", "linear_attention", hidden, width, "row", f"{base}o_proj"),
    ]  # fmt: skip
    whole = fields.flag("no_kda_lora")
    for name, full_rank in (("f", whole), ("g", whole or fields.flag("use_full_rank_gate") or config.flag("use_full_rank_gate"))):
        if full_rank:
            parts.append(Part(f"ssm_{name}", "linear_attention", width, hidden, "column", f"{base}{name}_proj"))
        else:
            parts.append(Part(f"ssm_{name}_a", "linear_attention", dim, hidden, "replicated", f"{base}{name}_a_proj"))
            parts.append(Part(f"ssm_{name}_b", "linear_attention", width, dim, "column", f"{base}{name}_b_proj"))
    return parts, _state(fields, 3 * width * (kernel - 1), width * dim)


KINDS: dict[str, Callable[[Fields, int], tuple[list[Part], CacheGroup]]] = {
    "delta": delta_net, "kimi-delta": kimi_delta, "lightning": lightning, "mamba": mamba, "mamba-2": mamba2, "short-conv": short_conv
}
"""By the word of the trait `linear`."""

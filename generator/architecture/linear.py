"""Layers with a state instead of keys and values: Mamba, Mamba-2, gated delta net, Kimi delta and lightning attention, short convolutions.

Floor 3, pure but for the tables. State sizes are of one layer: convolution windows in 16 bits, the recurrent state in fp32 unless the config
says otherwise."""

from __future__ import annotations

from generator.architecture.fields import Fields
from generator.architecture.parts import Part
from generator.architecture.shape import CacheGroup
from generator.architecture.tables import Sizes, parts_of

_DTYPES = {"float32": 32, "fp32": 32, "bfloat16": 16, "float16": 16, "half": 16}
_MODULES = {"mamba": "mamba.", "mamba-2": "mamba.", "delta": "linear_attn.", "short-conv": "conv."}
"""Names of the module in a layer, by the word of the trait `linear`; `self_attn.` for the others."""


def linear(kind: str, fields: Fields, hidden: int, module: str = "") -> tuple[list[Part], CacheGroup]:
    """The parts and the cache of one layer, by the word of the trait `linear`.

    Without a short convolution a layer of Kimi delta attention is lightning attention (Ling 2.5). `mamba_ssm_dtype` and
    `mamba_ssm_cache_dtype` name the precision of the state."""
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
    found = parts_of(kind, sizes, "linear_attention", module or _MODULES.get(kind, "self_attn."))
    return found, CacheGroup("state", 1, state_bytes=size, conv_values=conv, ssm_values=ssm, ssm_bits=bits)

"""Traits of model families that are fixed in code and missing in `config.json`: biases, norms, tied embeddings, module names.

Floor 3, pure. Taken from the model code of each family (`model_type`) in Transformers and vLLM.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal


@dataclass(frozen=True, slots=True)
class Family:
    """The traits of one `model_type`.

    tie            whether input and output embeddings are tied, if the config does not say
    qkv_bias       biases of query, key and value; None: as `attention_bias` says
    out_bias       bias of the attention's output; None: as `attention_bias` says
    mlp_bias       biases of the feed-forward layer; None: as `mlp_bias` says
    qk_norm        norms of query and key: per `head`, over the `full` width, `flag`: per head where `use_qk_norm`
    norms          vectors as wide as the hidden state per layer; norm_bias: each has a bias beside it
    gated          whether the feed-forward layer has a gate beside its up projection
    mrope          whether the rotary table covers four times the context (multimodal positions)
    attn, ffn      names of the modules of a layer
    """

    tie: bool = False
    qkv_bias: bool | None = None
    out_bias: bool | None = False
    mlp_bias: bool | None = False
    qk_norm: Literal["", "head", "full", "flag"] = ""
    norms: int = 2
    norm_bias: bool = False
    gated: bool = True
    lm_head_bias: bool = False
    fused_qkv: bool = False
    fused_gate_up: bool = False
    sinks: bool = False
    expert_bias: bool = False
    router_bias: bool = False
    shared_gate: bool = False
    mrope: bool = False
    learned_positions: bool = False
    kind: Literal["", "mla", "nemotron_h", "kimi_linear", "deepseek_v4", "gemma4", "nas"] = ""
    attn: str = "self_attn"
    ffn: str = "mlp"
    experts: str = "mlp.experts"
    router: str = "mlp.gate"
    shared: str = "mlp.shared_experts"
    expert_names: tuple[str, str, str] = ("gate_proj", "up_proj", "down_proj")


_LLAMA = Family(out_bias=None, mlp_bias=None)
_PLAIN = Family(qkv_bias=False)
_QWEN2 = Family(qkv_bias=True)
_QWEN3 = Family(out_bias=None, qk_norm="head")
_W123 = ("w1", "w3", "w2")
_MIXTRAL = Family(
    qkv_bias=False, experts="block_sparse_moe.experts", router="block_sparse_moe.gate", expert_names=_W123
)
_GEMMA = Family(tie=True, out_bias=None)
_GEMMA3 = replace(_GEMMA, norms=4, qk_norm="head")
_PHI3 = Family(qkv_bias=False, fused_qkv=True, fused_gate_up=True)
_PHI = Family(qkv_bias=True, out_bias=True, mlp_bias=True, norms=1, norm_bias=True, gated=False, lm_head_bias=True)
_MLA = Family(kind="mla", qkv_bias=None, router_bias=True)
_GLM4_MOE = Family(qk_norm="flag", router_bias=True)
_GPT = Family(
    qkv_bias=True, out_bias=True, mlp_bias=True, norm_bias=True, gated=False, fused_qkv=True, attn="attn", tie=True
)
_OLMO2 = Family(out_bias=None, qk_norm="full")
_QWEN_NEXT = replace(_QWEN3, shared="mlp.shared_expert", shared_gate=True)
_LLAMA4 = Family(
    out_bias=None,
    ffn="feed_forward",
    experts="feed_forward.experts",
    router="feed_forward.router",
    shared="feed_forward.shared_expert",
)
_MINIMAX = replace(_MIXTRAL, qk_norm="full", router_bias=True)
_DEEPSEEK_V4 = Family(
    kind="deepseek_v4",
    router_bias=True,
    attn="attn",
    ffn="ffn",
    experts="ffn.experts",
    router="ffn.gate",
    shared="ffn.shared_experts",
    expert_names=_W123,
)
_GRANITE = Family(out_bias=None, mlp_bias=None, tie=True)

FAMILIES: Mapping[str, Family] = MappingProxyType(
    {
        "apertus": Family(qkv_bias=None, out_bias=None, gated=False, qk_norm="head"),
        "arcee": Family(out_bias=None, mlp_bias=None, gated=False),
        "baichuan": Family(qkv_bias=False),
        "chatglm": Family(qkv_bias=True, fused_qkv=True, fused_gate_up=True, attn="self_attention"),
        "cohere": Family(tie=True, out_bias=None, norms=1),
        "cohere2": Family(tie=True, out_bias=None, norms=1),
        "deepseek_ref": _DEEPSEEK_V4,
        "deepseek_v2": _MLA,
        "deepseek_v3": _MLA,
        "deepseek_v32": _MLA,
        "deepseek_v4": _DEEPSEEK_V4,
        "ernie4_5": Family(tie=True, qkv_bias=False),
        "ernie4_5_moe": Family(tie=True, qkv_bias=False, router_bias=True),
        "exaone4": Family(qkv_bias=False, qk_norm="head"),
        "falcon": Family(
            tie=True, qkv_bias=False, norm_bias=True, gated=False, fused_qkv=True, attn="self_attention"
        ),
        "gemma": _GEMMA,
        "gemma2": replace(_GEMMA, norms=4),
        "gemma3_text": _GEMMA3,
        "gemma4_text": replace(_GEMMA3, kind="gemma4", experts="experts", router="router"),
        "glm": Family(fused_gate_up=True),
        "glm4": Family(fused_gate_up=True, norms=4),
        "glm4_moe": _GLM4_MOE,
        "glm_moe_dsa": _MLA,
        "gpt2": _GPT,
        "gpt_bigcode": _GPT,
        "gpt_neox": replace(_GPT, tie=False, attn="attention"),
        "gpt_oss": Family(
            qkv_bias=True,
            out_bias=True,
            sinks=True,
            expert_bias=True,
            router_bias=True,
            router="mlp.router",
        ),
        "granite": _GRANITE,
        "granitemoe": replace(
            _GRANITE, experts="block_sparse_moe", router="block_sparse_moe.router", shared="shared_mlp"
        ),
        "granitemoehybrid": replace(
            _GRANITE,
            ffn="shared_mlp",
            experts="block_sparse_moe",
            router="block_sparse_moe.router",
            shared="shared_mlp",
        ),
        "hunyuan_v1_dense": Family(out_bias=None, tie=True, qk_norm="head"),
        "internlm2": Family(attn="attention", ffn="feed_forward"),
        "kimi_k2": _MLA,
        "kimi_linear": Family(
            kind="kimi_linear",
            router_bias=True,
            experts="block_sparse_moe.experts",
            router="block_sparse_moe.gate",
            shared="block_sparse_moe.shared_experts",
            expert_names=_W123,
        ),
        "llama": _LLAMA,
        "llama4_text": _LLAMA4,
        "mimo": _QWEN2,
        "mimo_v2_flash": Family(sinks=True, router_bias=True),
        "minicpm": Family(tie=True, out_bias=None),
        "minimax_m2": _MINIMAX,
        "minimax_m3": replace(_MINIMAX, qk_norm="head", shared="block_sparse_moe.shared_experts"),
        "ministral3": _PLAIN,
        "mistral": _PLAIN,
        "mixtral": _MIXTRAL,
        "molmo": Family(fused_qkv=True, fused_gate_up=True, attn="", ffn=""),
        "nemotron": Family(qkv_bias=None, out_bias=None, mlp_bias=None, norm_bias=True, gated=False),
        "nemotron-nas": replace(_LLAMA, kind="nas"),
        "nemotron_h": Family(
            kind="nemotron_h",
            gated=False,
            norms=1,
            router_bias=True,
            attn="mixer",
            ffn="mixer",
            experts="mixer.experts",
            router="mixer.gate",
            shared="mixer.shared_experts",
        ),
        "olmo": Family(out_bias=None, norms=0),
        "olmo2": _OLMO2,
        "olmo3": _OLMO2,
        "olmoe": Family(out_bias=None, qk_norm="full"),
        "opt": Family(
            tie=True,
            qkv_bias=True,
            out_bias=True,
            mlp_bias=True,
            norm_bias=True,
            gated=False,
            learned_positions=True,
        ),
        "phi": _PHI,
        "phi-msft": _PHI,
        "phi3": _PHI3,
        "phimoe": Family(
            out_bias=None,
            norm_bias=True,
            experts="block_sparse_moe.experts",
            router="block_sparse_moe.gate",
        ),
        "qwen": Family(qkv_bias=True, fused_qkv=True, attn="attn"),
        "qwen2": _QWEN2,
        "qwen2_5_vl_text": replace(_QWEN2, mrope=True),
        "qwen2_moe": replace(_QWEN2, shared="mlp.shared_expert", shared_gate=True),
        "qwen2_vl_text": replace(_QWEN2, mrope=True),
        "qwen3": _QWEN3,
        "qwen3_5_moe_text": replace(_QWEN_NEXT, mrope=True),
        "qwen3_5_text": replace(_QWEN_NEXT, mrope=True),
        "qwen3_moe": _QWEN3,
        "qwen3_next": _QWEN_NEXT,
        "qwen3_vl_moe_text": replace(_QWEN3, mrope=True),
        "qwen3_vl_text": replace(_QWEN3, mrope=True),
        "seed_oss": Family(qkv_bias=None, out_bias=False),
        "smollm3": Family(tie=True, out_bias=None, mlp_bias=None),
        "stablelm": Family(norm_bias=True),
        "starcoder2": Family(tie=True, qkv_bias=True, out_bias=True, mlp_bias=True, norm_bias=True, gated=False),
        "step3p5": Family(qkv_bias=False, qk_norm="head", router_bias=True, experts="moe", router="moe.gate"),
        "step3p7": Family(qkv_bias=False, qk_norm="head", router_bias=True, experts="moe", router="moe.gate"),
    }
)

TEXT_OF: Mapping[str, str] = MappingProxyType(
    {
        "gemma3": "gemma3_text",
        "gemma4": "gemma4_text",
        "kimi_k25": "kimi_k2",
        "kimi_k3": "kimi_linear",
        "llama4": "llama4_text",
        "minimax_m3_vl": "minimax_m3",
        "mistral3": "mistral",
        "qwen2_5_vl": "qwen2_5_vl_text",
        "qwen2_vl": "qwen2_vl_text",
        "qwen3_5": "qwen3_5_text",
        "qwen3_5_moe": "qwen3_5_moe_text",
        "qwen3_vl": "qwen3_vl_text",
        "qwen3_vl_moe": "qwen3_vl_moe_text",
    }
)
"""Multimodal `model_type` -> the `model_type` of its language model, if `text_config` does not name it."""

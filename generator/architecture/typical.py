"""A typical dense model of a given size, for specs with only a parameter count. Floor 3, pure."""

from __future__ import annotations

import math
from dataclasses import replace

from generator.architecture.config import from_config
from generator.architecture.shape import ModelArchitecture
from generator.errors import fail
from generator.readers.resources import shipped

_KIND = "typical"
"""A family without any traits: grouped-query attention and a gated feed-forward layer."""


def typical(parameters: float) -> ModelArchitecture:
    """A dense model with about that many parameters (within 2 %): the nearest published shape, deeper or shallower. `basis` is
    `parameters`; the context is unknown (0)."""
    if isinstance(parameters, bool) or not isinstance(parameters, int | float) or not math.isfinite(parameters):
        raise fail("bad-model-config", "model: parameters must be a number, such as 7.6e9")
    if not 1e7 <= parameters <= 1e14:
        raise fail("bad-model-config", f"model: parameters must be between 1e7 and 1e14, not {parameters:g}")
    # published dense models, from Qwen2.5-0.5B to Llama-3.1-405B: the nearest one is scaled
    near = min(shipped("typical.json"), key=lambda shape: abs(math.log(shape["parameters"] / parameters)))
    layers, hidden, heads, kv_heads, width, vocab, tied = (near[k] for k in ("layers", "hidden", "heads", "kv_heads", "width", "vocab", "tied"))
    embeddings = vocab * hidden * (1 if tied else 2)
    head_dim = 64 if hidden < 2048 else 128
    while hidden > 64 and embeddings > parameters / 2:  # far below the smallest shape: narrower, smaller vocabulary
        hidden, width, vocab = hidden // 2, width // 2, vocab // 2
        heads, kv_heads, embeddings = max(1, heads // 2), 1, vocab * hidden
    per_layer = hidden * head_dim * 2 * (heads + kv_heads) + 3 * hidden * width
    layers = max(1, min(4096, round((parameters - embeddings) / per_layer)))
    width += round((parameters - embeddings - layers * per_layer) / (3 * hidden * layers))
    architecture = from_config(
        {
            "model_type": _KIND, "num_hidden_layers": layers, "hidden_size": hidden, "num_attention_heads": heads,
            "num_key_value_heads": kv_heads, "head_dim": head_dim, "intermediate_size": max(64, width // 64 * 64), "vocab_size": vocab,
            "tie_word_embeddings": tied,
        },
        {_KIND: {}},
    )
    return replace(architecture, basis="parameters")

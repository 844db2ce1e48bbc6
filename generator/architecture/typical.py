"""A typical dense model of a given size, for specs with only a parameter count. Floor 3, pure."""

from __future__ import annotations

import math
from dataclasses import replace

from generator.architecture.config import from_config
from generator.architecture.shape import ModelArchitecture
from generator.errors import fail

_SHAPES = (
    # parameters, layers, hidden, heads, kv heads, feed-forward width, vocabulary, tied
    (0.5e9, 24, 896, 14, 2, 4864, 151936, True),
    (1.2e9, 16, 2048, 32, 8, 8192, 128256, True),
    (3.2e9, 28, 3072, 24, 8, 8192, 128256, True),
    (8.0e9, 32, 4096, 32, 8, 14336, 128256, False),
    (14.8e9, 40, 5120, 40, 8, 17408, 151936, False),
    (32.8e9, 64, 5120, 64, 8, 25600, 151936, False),
    (70.6e9, 80, 8192, 64, 8, 28672, 128256, False),
    (405.9e9, 126, 16384, 128, 8, 53248, 128256, False),
)
"""Published dense models, from Qwen2.5-0.5B to Llama-3.1-405B: the nearest one is scaled."""
_KIND = "typical"
"""A family without any traits: grouped-query attention and a gated feed-forward layer."""


def typical(parameters: float) -> ModelArchitecture:
    """A dense model with about that many parameters (within 2 %): the nearest published shape, deeper or shallower.

    `basis` is `parameters`; the context is unknown (0)."""
    if isinstance(parameters, bool) or not isinstance(parameters, int | float) or not math.isfinite(parameters):
        raise fail("bad-model-config", "model: parameters must be a number, such as 7.6e9")
    if not 1e7 <= parameters <= 1e14:
        raise fail("bad-model-config", f"model: parameters must be between 1e7 and 1e14, not {parameters:g}")
    _, layers, hidden, heads, kv_heads, width, vocab, tied = min(_SHAPES, key=lambda shape: abs(math.log(shape[0] / parameters)))
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

"""Types of single tensors given by hand: sizes as llama-quantize b11312 told them (`--dry-run --tensor-type …`), and what is refused."""

from __future__ import annotations

import re
from typing import Any

import pytest
from gguf_models import GGML_TYPES, METHODS
from test_gguf_sizes import MODELS

from generator.errors import GenDeployError
from generator.quantity import GIB, MIB
from generator.quantize.gguf import gguf_needs, gguf_output, overridden
from generator.sizing.footprint import Layout
from generator.sizing.gguf import fullest, gguf_bytes, gguf_sizes
from generator.sizing.gguf_mixture import Override, layers_key, pattern, read_overrides

ASKED: dict[str, dict[str, Any]] = {
    "ends": {"first_layers": 3, "last_layers": 2},
    "attention": {"keep": ["attention"]},
    "down": {"tensor_types": {"ffn_down": "q5_K"}},
    "v-in-some": {"tensor_types": {"attn_v": "q8_0"}, "first_layers": 4, "keep_type": "q6_K"},
    "outside": {"tensor_types": {"output": "q8_0", "token_embd": "q6_K"}},
}
TOLD = [
    ("llama-3.1-8b", "gguf-q4_k_m", "ends", 5127.96),
    ("llama-3.1-8b", "gguf-q4_k_m", "attention", 5308.8),
    ("llama-3.1-8b", "gguf-q4_k_m", "down", 4678.3),
    ("llama-3.1-8b", "gguf-q4_k_m", "v-in-some", 4885.43),
    ("llama-3.1-8b", "gguf-q4_k_m", "outside", 4935.8),
    ("llama-3.1-8b", "gguf-q3_k_m", "ends", 4432.92),
    ("llama-3.1-8b", "gguf-q3_k_m", "down", 4035.27),
    ("llama-3.1-8b", "gguf-iq4_xs", "v-in-some", 4553.02),
    ("qwen2.5-72b", "gguf-q4_k_m", "ends", 46718.12),
    ("qwen2.5-72b", "gguf-q4_k_m", "attention", 50850.94),
    ("qwen2.5-72b", "gguf-q4_k_m", "down", 42903.44),
    ("qwen2.5-72b", "gguf-q3_k_m", "v-in-some", 37433.47),
    ("qwen2.5-72b", "gguf-iq4_xs", "ends", 40477.88),
    ("qwen2.5-72b", "gguf-iq4_xs", "outside", 38928.06),
]
"""MiB of all tensors. What was given by hand is not counted where the mixture counts its layers."""
LLAMA = MODELS["llama-3.1-8b"]
Q4_K_M = METHODS["gguf-q4_k_m"]


@pytest.mark.parametrize(("model", "method", "asked", "mib"), TOLD, ids=lambda v: str(v))
def test_size(model: str, method: str, asked: str, mib: float) -> None:
    entry = overridden(METHODS[method], MODELS[model], ASKED[asked])
    assert gguf_bytes(MODELS[model], entry, GGML_TYPES) / MIB == pytest.approx(mib, abs=0.006)


def test_nothing_asked_is_the_same_method() -> None:
    assert overridden(Q4_K_M, LLAMA, {}) is Q4_K_M
    assert overridden(METHODS["gguf-f16"], LLAMA, {"keep": ["attention"]}) is METHODS["gguf-f16"]


def test_what_is_asked_for_first_holds() -> None:
    """Kinds before roles before layers; the spec's own mapping is not changed."""
    asked = {"tensor_types": {"attn_v": "Q6_K"}, "keep": ["attention"], "last_layers": 1}
    found = overridden(Q4_K_M, LLAMA, asked)["gguf"]["overrides"]
    assert found == {"attn_v": "Q6_K", "attn_q": "q8_0", "attn_k": "q8_0", "attn_output": "q8_0", "blk.31": "q8_0"}
    assert "overrides" not in Q4_K_M["gguf"]


def test_a_gpu_gets_what_the_file_has() -> None:
    """The last layers are on the last GPU: wide ones weigh there."""
    plain, wide = Q4_K_M, overridden(Q4_K_M, LLAMA, {"last_layers": 4})
    one = [fullest(gguf_sizes(LLAMA, method, GGML_TYPES), Layout()) for method in (plain, wide)]
    two = [fullest(gguf_sizes(LLAMA, method, GGML_TYPES), Layout(pipeline_parallel=2)) for method in (plain, wide)]
    assert two[1] - two[0] == one[1] - one[0] > 0


def test_bits_and_header() -> None:
    size, bits = gguf_output(LLAMA, Q4_K_M, GGML_TYPES, header_per_token=10)
    assert size == gguf_bytes(LLAMA, Q4_K_M, GGML_TYPES) + 10 * LLAMA.vocab_size
    assert bits == pytest.approx(4.89, abs=0.01)


def test_needs() -> None:
    """A known case by hand: 8B in 16 bits is 15 GiB; the largest matrix 128256 x 4096."""
    numbers = {"quantize.margin": 0.0, "quantize.runtime_gib": 1.0}.__getitem__
    needs = gguf_needs(LLAMA, 5 * GIB, GGML_TYPES, METHODS, numbers)
    assert needs.gpu_memory == 0
    assert needs.host_memory == 8 * 128256 * 4096 + GIB
    assert needs.disk == pytest.approx(35 * GIB, rel=0.01)
    assert gguf_needs(LLAMA, 5 * GIB, GGML_TYPES, METHODS, numbers, from_gguf=True).disk == 5 * GIB
    assert gguf_needs(LLAMA, 5 * GIB, GGML_TYPES, METHODS, numbers, imatrix=True).host_memory > 16 * GIB


@pytest.mark.parametrize("kind", ["ffn_dwn", "attn_norm", "blk.0", "ffn_down_exps", "ssm_in"])
def test_kinds_that_the_model_lacks(kind: str) -> None:
    with pytest.raises(GenDeployError, match="no tensors of the kind"):
        overridden(Q4_K_M, LLAMA, {"tensor_types": {kind: "q8_0"}})


def test_a_type_that_does_not_exist() -> None:
    entry = overridden(Q4_K_M, LLAMA, {"tensor_types": {"attn_v": "q8_1x"}})
    with pytest.raises(GenDeployError, match="q8_1x"):
        gguf_bytes(LLAMA, entry, GGML_TYPES)


@pytest.mark.parametrize(
    ("layers", "key"), [([0], "blk.0"), ([0, 1, 2, 30, 31], "blk.0-2,30-31"), ([5, 3], "blk.3,5"), (range(3), "blk.0-2")], ids=str
)
def test_keys_of_layers(layers: list[int], key: str) -> None:
    assert layers_key(layers) == key
    assert read_overrides({key: "Q8_0"}, ["q8_0"]) == (Override(None, frozenset(layers), "q8_0"),)


def test_patterns_match_what_they_say() -> None:
    names = ["blk.0.attn_v.weight", "blk.10.attn_v.weight", "blk.1.attn_v_b.weight", "output.weight", "blk.0.attn_output.weight", "token_embd.weight"]
    given = {"attn_v": names[:2], "output": [names[3]], "blk.0": [names[0], names[4]], "blk.0-3.attn_v": [names[0]], "token_embd": [names[5]]}
    for key, matched in given.items():
        (override,) = read_overrides({key: "q8_0"}, ["q8_0"])
        assert [name for name in names if re.search(pattern(override), name)] == matched

"""Architectures read from published configs: parameters to the last one, caches, quantisation, and what is refused."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

sys.path.insert(0, str(Path(__file__).parent))
from model_configs import NAMES, TRUTH, architecture, config
from shipped_families import from_config

from generator.architecture.shape import CacheGroup
from generator.errors import InputError, Place
from generator.facts.unlisted import typical

MODELS = Path(__file__).resolve().parents[2] / "rules/facts/models"


@pytest.mark.parametrize("row", TRUTH["parameters"], ids=lambda row: row["config"])
def test_parameters(row: dict[str, Any]) -> None:
    assert architecture(row["config"]).parameters == row["parameters"]


@pytest.mark.parametrize("name", NAMES)
def test_every_config_has_the_layers_it_names(name: str) -> None:
    found = architecture(name)
    assert found.parameters > 0
    assert sum(c.layers for c in found.caches if c.kind not in ("state", "partial")) <= 2 * found.layers
    assert all(0 <= m.layer_first <= m.layer_last < found.layers for m in found.matrices)
    assert found.basis == "config"


@pytest.mark.parametrize("path", sorted(MODELS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_model_of_the_catalogue_is_understood(path: Path) -> None:
    for entry in yaml.load(path.read_text(encoding="utf-8"), yaml.CSafeLoader)["models"].values():
        if "config" in entry:
            assert from_config(entry["config"]).parameters > 1e7


@pytest.mark.parametrize(
    ("name", "language", "vision"),
    [("stepfun-ai/Step-3.7-Flash", 196e9, 1.8e9), ("mistralai/Ministral-3-3B-Instruct-2512", 3.4e9, 0.4e9)],
)
def test_the_language_and_the_vision_part_have_their_published_sizes(name: str, language: float, vision: float) -> None:
    entries = {one: entry for path in MODELS.glob("*.yaml") for one, entry in yaml.load(path.read_text(encoding="utf-8"), yaml.CSafeLoader)["models"].items()}
    found = from_config(entries[name]["config"])
    seen = sum(m.parameters for m in found.matrices if m.role == "vision")
    assert found.parameters - seen == pytest.approx(language, rel=0.02) and seen == pytest.approx(vision, rel=0.12)
    assert found.multimodal


@pytest.mark.parametrize(
    ("name", "caches"),
    [
        ("meta-llama__Llama-3.1-8B-Instruct", [CacheGroup("full", 32, 8, 128, 128)]),
        (
            "google__medgemma-27b-it",
            [CacheGroup("sliding", 52, 16, 128, 128, 1024), CacheGroup("full", 10, 16, 128, 128)],
        ),
        (
            "google__gemma-4-26B-A4B",
            [CacheGroup("sliding", 25, 8, 256, 256, 1024), CacheGroup("full", 5, 2, 512, 512)],
        ),
        ("deepseek-ai__DeepSeek-V3", [CacheGroup("latent", 61, 1, latent_dim=576)]),
        (
            "XiaomiMiMo__MiMo-V2-Flash",
            [CacheGroup("full", 9, 4, 192, 128), CacheGroup("sliding", 39, 8, 192, 128, 128)],
        ),
        ("nvidia__Llama-3_3-Nemotron-Super-49B-v1", [CacheGroup("full", 49, 8, 128, 128)]),
    ],
)
def test_caches(name: str, caches: list[CacheGroup]) -> None:
    assert list(architecture(name).caches) == caches


def test_states_of_hybrid_models() -> None:
    hybrid = architecture("Qwen__Qwen3.5-35B-A3B")
    state = next(c for c in hybrid.caches if c.kind == "state")
    # 8192 channels of a convolution of 4, and 32 heads of 128 x 128 in fp32
    assert (state.layers, state.state_bytes) == (30, 2 * 3 * 8192 + 4 * 32 * 128 * 128)
    mamba = next(c for c in architecture("nvidia__NVIDIA-Nemotron-3-Nano-30B-A3B-BF16").caches if c.kind == "state")
    assert (mamba.layers, mamba.ssm_values) == (23, 64 * 64 * 128)
    assert hybrid.hybrid and not architecture("Qwen__Qwen3-32B").hybrid


@pytest.mark.parametrize(
    ("name", "method", "layout", "kept"),
    [
        ("deepseek-ai__DeepSeek-V3", "fp8-block", "fp8", {"embedding", "lm_head", "norm"}),
        (
            "moonshotai__Kimi-K2.5",
            "gptq",
            "compressed-tensors",
            {"attention", "embedding", "lm_head", "mlp", "norm", "shared_expert"},
        ),
        ("openai__gpt-oss-20b", "mxfp4", "mxfp4", {"attention", "embedding", "lm_head", "norm", "router"}),
        ("nvidia__Gemma-4-31B-IT-NVFP4", "nvfp4", "modelopt", {"attention", "embedding", "norm"}),
        ("nvidia__Qwen3.6-35B-A3B-NVFP4", "nvfp4", "modelopt-mixed-w4a16", {"embedding", "norm", "router"}),
        (
            "RedHatAI__Llama-4-Scout-17B-16E-Instruct-FP8-dynamic",
            "fp8",
            "compressed-tensors",
            {"attention", "embedding", "lm_head", "norm", "router"},
        ),
        (
            "nvidia__GLM-5.1-NVFP4",
            "nvfp4",
            "modelopt",
            {"attention", "embedding", "lm_head", "mlp", "norm", "router", "shared_expert"},
        ),
        ("TheBloke__Genz-70b-GPTQ", "gptq", "gptq", {"embedding", "lm_head", "norm"}),
        ("reubk__Molmo-7B-D-0924-NF4", "bitsandbytes", "bitsandbytes", {"embedding", "lm_head", "norm"}),
    ],
)
def test_quantised_checkpoints(name: str, method: str, layout: str, kept: set[str]) -> None:
    found = architecture(name).quantization
    assert found is not None
    assert (found.method, found.layout) == (method, layout)
    assert found.keeps - {"router", "vision"} == kept - {"router"}


@pytest.mark.parametrize(
    ("sparsity", "layout"),
    [
        ({"format": "sparse-24-bitmask", "sparsity_structure": "2:4"}, "sparse-2-4"),
        ({"format": "dense", "sparsity_structure": "0:0"}, "compressed-tensors"),  # tools of 2025 wrote it for every checkpoint
        ({}, "compressed-tensors"),
    ],
)
def test_sparse_checkpoints_have_a_layout_of_their_own(sparsity: dict[str, str], layout: str) -> None:
    changed = config("RedHatAI__Llama-4-Scout-17B-16E-Instruct-FP8-dynamic")
    changed["quantization_config"]["sparsity_config"] = sparsity
    found = from_config(changed).quantization
    assert found is not None and (found.method, found.layout) == ("fp8", layout)


def test_mixed_precision_is_kept_apart() -> None:
    bits = {m.name: m.storage.bits for m in architecture("nvidia__Qwen3.6-35B-A3B-NVFP4").matrices if m.storage}
    assert bits["ffn_up_exps"] == 4 and bits["attn_q"] == 8 and bits["ssm_out"] == 8 and bits["output"] == 4


def test_ignored_layers_are_kept_apart() -> None:
    """NVIDIA's GLM-5.1 leaves the first dense layers in 16 bits, and quantises the experts of the others."""
    found = architecture("nvidia__GLM-5.1-NVFP4").matrices
    assert all(m.storage is None for m in found if m.role in ("mlp", "attention", "shared_expert"))
    assert all(m.storage is not None for m in found if m.role == "expert")


def test_what_the_model_as_a_whole_says_of_tied_embeddings_goes_first() -> None:
    changed = config("Qwen__Qwen3-VL-30B-A3B-Instruct")
    changed["tie_word_embeddings"], changed["text_config"]["tie_word_embeddings"] = True, False
    assert from_config(changed).tied_embeddings
    del changed["tie_word_embeddings"]
    assert not from_config(changed).tied_embeddings


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        ({"model_type": "lama"}, "unknown-architecture", "'lama' is not a known architecture; did you mean 'llama'?"),
        ({"model_type": None}, "unknown-architecture", "model_type is missing"),
        ({"num_hidden_layers": None}, "unknown-architecture", "num_hidden_layers"),
        ({"num_hidden_layers": 10**9}, "bad-model-config", "num_hidden_layers"),
        ({"hidden_size": "4096"}, "bad-model-config", "hidden_size must be a whole number, not '4096'"),
        ({"vocab_size": float("nan")}, "bad-model-config", "vocab_size"),
        ({"num_key_value_heads": 7}, "bad-model-config", "num_key_value_heads must divide"),
        ({"intermediate_size": -1}, "bad-model-config", "intermediate_size must lie between"),
        ({"layer_types": ["full_attention"]}, "bad-model-config", "layer_types must have 32 items"),
        ({"layer_types": ["hyena"] * 32}, "unknown-architecture", "layer_types names the unknown type 'hyena'"),
        ({"tie_word_embeddings": "no"}, "bad-model-config", "tie_word_embeddings"),
        ({"quantization_config": {"quant_method": "magic"}}, "unknown-quantization", "'magic' is unknown"),
        ({"quantization_config": {"quant_method": "compressed-tensors"}}, "unknown-architecture", "config_groups"),
        ({"rope_scaling": {"rope_type": "yarn", "factor": "x"}}, "bad-model-config", "rope_scaling.factor"),
    ],
)
def test_what_is_not_understood_is_named(change: dict[str, Any], code: str, words: str) -> None:
    with pytest.raises(InputError) as caught:
        from_config({**config("meta-llama__Llama-3.1-8B-Instruct"), **change}, Place("config.json"))
    (problem,) = caught.value.problems
    assert problem.code == code and words in problem.message and problem.place == Place("config.json")


@pytest.mark.parametrize("size", [1.5e8, 5e8, 1.1e9, 3e9, 7.6e9, 2.4e10, 1.23e11, 1e12])
def test_a_typical_model_has_about_the_size(size: float) -> None:
    found = typical(size)
    assert found.basis == "parameters"
    assert found.parameters == pytest.approx(size, rel=0.02)


@pytest.mark.parametrize("size", [0, -1, 1e20, float("nan"), float("inf")])
def test_an_impossible_size_is_refused(size: float) -> None:
    with pytest.raises(InputError):
        typical(size)

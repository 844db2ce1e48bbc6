"""What a job leaves wide, and what it makes: the words of each tool, and the bytes that follow from them."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import pytest

from generator.architecture.shape import ModelArchitecture
from generator.facts.model import config_of, shape_of
from generator.quantize.recipe import Wide, ignored, made_architecture, not_said, quantization_of, recipe_of, stored_beside, wide_of
from generator.quantize.training import job_needs, time_class
from generator.rulebook.book import RuleBook, load
from generator.sizing.weights import checkpoint_bytes

LLAMA = "meta-llama/Llama-3.1-8B-Instruct"
MOE = "Qwen/Qwen3-30B-A3B"
VISION = "google/gemma-3-27b-it"


@lru_cache
def book() -> RuleBook:
    return load("default")


def tool(name: str = "llm-compressor") -> Any:
    return book().section("quantizers")[name]


def shape(model: str) -> ModelArchitecture:
    found = shape_of(model, book())
    assert found is not None
    return found


def wide(model: str, asked: dict[str, Any] | None = None, method: str = "awq") -> Wide:
    return wide_of(book().section("methods")[method], tool(), shape(model), asked or {})


@pytest.mark.parametrize(
    ("model", "asked", "names"),
    [
        (LLAMA, {}, ("re:.*lm_head$",)),
        (LLAMA, {"keep": ["attention"]}, ("re:.*(self_attn|attention)[.].*", "re:.*lm_head$")),
        (LLAMA, {"first_layers": 1, "last_layers": 2}, ("re:.*lm_head$", "re:.*layers[.](0|30|31)[.].*")),
        (MOE, {}, ("re:.*lm_head$", "re:.*[.]gate$", "re:.*router.*", "re:.*shared_expert_gate$")),
        (MOE, {"keep": ["linear_attention"]}, ("re:.*lm_head$", "re:.*[.]gate$", "re:.*router.*", "re:.*shared_expert_gate$")),
    ],
)
def test_only_what_the_model_has_is_named(model: str, asked: dict[str, Any], names: tuple[str, ...]) -> None:
    assert ignored(tool(), shape(model), wide(model, asked)) == names


def test_a_vision_tower_stays_wide() -> None:
    assert any("vision_tower" in name for name in ignored(tool(), shape(VISION), wide(VISION)))


def test_modelopt_names_each_layer() -> None:
    names = ignored(tool("modelopt"), shape(LLAMA), Wide(frozenset(("lm_head",)), 1, 1))
    assert names == ("*lm_head*", "*layers.0.*", "*layers.31.*")


def test_a_tool_without_words_for_a_role_is_said() -> None:
    assert not_said(tool(), shape(LLAMA), wide(LLAMA)) == ()
    assert not_said({"patterns": {}}, shape(LLAMA), wide(LLAMA)) == ("lm_head",)


def made(
    model: str, method: str, group: int | None = None, asked: dict[str, Any] | None = None, name: str = "llm-compressor"
) -> ModelArchitecture:
    maker = tool(name)["makes"][method]
    size = group or (maker.get("group_sizes") or [None])[0]
    ignore = ignored(tool(name), shape(model), wide_of(book().section("methods")[method], tool(name), shape(model), asked or {}))
    config = config_of(model, book())
    assert config is not None
    return made_architecture(config, quantization_of(maker, ignore, size, False), book().section("families"))


@pytest.mark.parametrize("method", ["fp8", "fp8-block", "int8", "awq", "gptq", "nvfp4", "mxfp4"])
@pytest.mark.parametrize("model", [LLAMA, MOE, VISION])
def test_routers_heads_and_towers_are_not_quantised(model: str, method: str) -> None:
    found = made(model, method)
    assert found.quantization is not None
    assert found.quantization.method == method
    assert {m.role for m in found.matrices if m.storage is not None} <= {"attention", "mlp", "expert", "shared_expert"}
    assert any(m.storage is not None for m in found.matrices)


def test_wider_is_larger() -> None:
    sizes = [
        checkpoint_bytes(made(LLAMA, "awq", asked=asked), {})
        for asked in ({}, {"first_layers": 1}, {"keep": ["attention"]}, {"keep": ["mlp"]})
    ]
    assert sizes == sorted(sizes) and len(set(sizes)) == 4
    groups = [checkpoint_bytes(made(LLAMA, "awq", group), {}) for group in (128, 64, 32)]
    assert groups == sorted(groups) and len(set(groups)) == 3


def test_bytes_are_those_of_the_layout() -> None:
    """Llama 3.1 8B in W4A16 by hand: 4 bits, a scale of 16 bits for each 128, 16 bytes a matrix for its shape."""
    found = made(LLAMA, "gptq")
    quantised = [m for m in found.matrices if m.storage is not None]
    values = sum(m.parameters for m in quantised)
    rest = sum(m.parameters for m in found.matrices if m.storage is None)
    by_hand = values // 2 + values // 128 * 2 + 2 * rest
    assert checkpoint_bytes(found, {}) == by_hand
    assert stored_beside(found, {"matrix_bytes": 16}) == 16 * sum(m.count for m in quantised)


def test_a_group_size_of_its_own_is_spelt_out() -> None:
    maker = tool()["makes"]["awq"]
    preset = recipe_of(maker, ("lm_head",), 128)
    assert preset is not None
    assert preset["default_stage"]["default_modifiers"] == {
        "AWQModifier": {},
        "QuantizationModifier": {"targets": ["Linear"], "scheme": "W4A16_ASYM", "ignore": ["lm_head"]},
    }
    other = recipe_of(maker, ("lm_head",), 64)
    assert other is not None
    modifier: dict[str, Any] = other["default_stage"]["default_modifiers"]["QuantizationModifier"]
    assert modifier["ignore"] == ["lm_head"] and "scheme" not in modifier
    assert modifier["config_groups"]["group_0"]["weights"]["group_size"] == 64
    assert recipe_of(tool("gptqmodel")["makes"]["gptq"], (), 128) is None


def numbers(name: str) -> float:
    return float(book().number(name))


def test_needs_grow_with_what_the_algorithm_keeps() -> None:
    """Rounding needs a layer on the GPU, GPTQ its Hessians too, AWQ the inputs of all texts, ModelOpt the whole model."""
    found = {word: job_needs(shape(LLAMA), word, 0, numbers, samples=256, tokens=512) for word in ("rtn", "gptq", "awq", "modelopt")}
    gpu = [found[word].gpu_memory for word in ("rtn", "gptq", "modelopt")]
    assert gpu == sorted(gpu) and len(set(gpu)) == 3
    assert found["rtn"].gpu_memory < found["awq"].gpu_memory < found["modelopt"].gpu_memory
    assert found["modelopt"].gpu_memory > 2 * shape(LLAMA).parameters
    assert found["rtn"].host_memory > 2 * shape(LLAMA).parameters


def test_needs_agree_with_the_published_ones() -> None:
    """LLM Compressor says about 16 GB of host memory and 0.5 GB of GPU memory for rounding 8B, beside the run time of CUDA."""
    needs = job_needs(shape(LLAMA), "rtn", 0, numbers)
    runtime = numbers("quantize.runtime_gib") * 2**30
    assert 0.4e9 < (needs.gpu_memory - runtime) / (1 + numbers("quantize.margin")) < 0.6e9
    assert 15e9 < needs.host_memory / (1 + numbers("quantize.margin")) < 17e9


@pytest.mark.parametrize(("minutes", "word"), [(1, "minutes"), (30, "under an hour"), (120, "hours"), (5000, "a day or more")])
def test_times_are_classes(minutes: float, word: str) -> None:
    assert time_class(minutes, numbers) == word


def test_transforms_are_proved_for_the_pinned_tool_and_not_where_they_are_wrong() -> None:
    """The list is of the version that a job runs; what public reports and runs found wrong or refused is not on it."""
    found = book().section("transforms")["llm-compressor"]
    assert found["version"] == tool()["version"]
    proved = {name: set(entry["proved"]) for name, entry in found["modifiers"].items()}
    wrong = {"gemma2", "gemma3", "gemma3_text", "olmoe", "phimoe", "minimax_m2", "glm4_moe"}
    refused = {"olmo2", "olmo3", "exaone4", "glm4", "starcoder2", "nemotron", "apertus", "qwen3_next"}
    assert not proved["SmoothQuantModifier"] & (wrong | refused)
    assert not proved["AWQModifier"] & {
        "olmo2",
        "glm4",
        "starcoder2",
        "nemotron",
        "apertus",
        "glm4_moe",
        "deepseek_v3",
        "mixtral",
        "gpt_oss",
    }
    assert {"llama", "qwen2", "qwen3", "mistral"} <= proved["SmoothQuantModifier"] & proved["AWQModifier"]

"""Partial offload: experts leave the GPU before whole layers, both memories are bounds, and no engine without such a thing is offered it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starts import book, planned
from test_terms import check, evaluated

from generator.architecture.shape import ModelArchitecture
from generator.facts.model import shape_of
from generator.plan import Candidate, Plan
from generator.render.plan_json import as_json
from generator.sizing.gguf import GgufSizes, balanced, gguf_sizes, on_devices, placed

MOE = "Qwen/Qwen3-30B-A3B"
LLAMA = {"engine": "llama.cpp", "quantization": "gguf-q4_k_m"}


def sizes(method: str, name: str = "Qwen/Qwen2.5-32B-Instruct") -> tuple[ModelArchitecture, GgufSizes]:
    model = shape_of(name, book())
    assert model is not None
    return model, gguf_sizes(model, book().section("methods")[method], book().section("ggml_types"))


def offloaded(tmp_path: Path, gpu: Any = "RTX3060-12GB", host: float | None = 64, **workload: Any) -> Candidate | None:
    return plan_of(tmp_path, "Qwen/Qwen2.5-32B-Instruct", gpu, host, **workload).choice


def plan_of(tmp_path: Path, model: str, gpu: Any = "RTX3060-12GB", host: float | None = 64, pin: Any = None, gpus: int = 1, **workload: Any) -> Plan:
    hardware = {"gpu": gpu, "gpus_per_node": gpus, **({"host_memory_gib": host} if host else {})}
    return planned({"model": model, "hardware": hardware, "workload": {"profile": "dev", **workload}, "pin": {**LLAMA, **(pin or {})}}, tmp_path)


def test_the_output_goes_first_and_then_the_last_layers() -> None:
    model, found = sizes("gguf-q4_k_m")
    assert on_devices(found, 0) == 0
    assert on_devices(found, 1) == found.output
    assert on_devices(found, 2) == found.output + found.layers[-1]
    assert on_devices(found, model.layers + 1) == found.output + sum(found.layers)
    assert on_devices(found, model.layers + 1, 2) < on_devices(found, model.layers + 1)
    grown = [on_devices(found, layers) for layers in range(model.layers + 2)]
    assert grown == sorted(grown)


def test_as_many_layers_as_fit_and_not_one_more(tmp_path: Path) -> None:
    model, found = sizes("gguf-q4_k_m")
    choice = offloaded(tmp_path)
    assert choice is not None
    assert choice.memory is not None
    layers = choice.gpu_layers
    assert layers is not None
    assert layers == choice.settings["gpu_layers"]
    assert 1 < layers <= model.layers
    assert choice.cpu_experts is None
    assert choice.memory.weights == on_devices(found, layers)
    assert choice.memory.headroom >= book().number("headroom.floor")
    one_more = on_devices(found, layers + 1) - on_devices(found, layers)
    assert (
        choice.memory.headroom * choice.memory.budget - one_more < book().number("headroom.floor") * choice.memory.budget + 0.1 * one_more
    )


@pytest.mark.parametrize("gpu", ["RTX3060-12GB", "RTX4060Ti-16GB", "T4-16GB"])
def test_a_larger_card_holds_more_layers(gpu: str, tmp_path: Path) -> None:
    choice, larger = offloaded(tmp_path, gpu), offloaded(tmp_path, {"memory_gib": 20, "compute_capability": 8.9})
    assert choice is not None
    assert larger is not None
    assert choice.settings["gpu_layers"] < larger.settings["gpu_layers"]  # type: ignore[operator]


def test_both_memories_are_bounds(tmp_path: Path) -> None:
    assert offloaded(tmp_path, host=None) is None
    assert offloaded(tmp_path, host=8) is None
    assert offloaded(tmp_path, {"memory_gib": 1.5, "compute_capability": 8.9}) is None
    long = offloaded(tmp_path, max_context=32768)
    short = offloaded(tmp_path, max_context=4096)
    assert long is not None
    assert short is not None
    assert long.settings["gpu_layers"] < short.settings["gpu_layers"]  # type: ignore[operator]


def test_a_model_that_fits_stays_whole(tmp_path: Path) -> None:
    choice = offloaded(tmp_path, "RTX4090-24GB")
    assert choice is not None
    assert choice.settings["gpu_layers"] == 65
    assert choice.gpu_layers == 65


def test_experts_leave_first_and_no_layer_more_than_must(tmp_path: Path) -> None:
    model, found = sizes("gguf-q4_k_m", MOE)
    choice = plan_of(tmp_path, MOE).choice
    assert choice is not None
    assert choice.memory is not None
    assert choice.gpu_layers == model.layers + 1
    assert choice.cpu_experts == choice.settings["cpu_moe"]
    assert 0 < choice.cpu_experts < model.layers
    assert choice.memory.weights == on_devices(found, model.layers + 1, 1, choice.cpu_experts)
    assert choice.memory.headroom >= book().number("headroom.floor")
    back = found.experts[choice.cpu_experts - 1]
    assert choice.memory.total + back > choice.memory.budget * (1 - book().number("headroom.floor"))


def test_whole_layers_leave_where_all_experts_are_not_enough(tmp_path: Path) -> None:
    choice = plan_of(tmp_path, "deepseek-ai/DeepSeek-R1", host=1024).choice
    assert choice is not None
    assert choice.cpu_experts == 61
    assert choice.gpu_layers is not None
    assert 1 <= choice.gpu_layers < 62


@pytest.mark.parametrize("engine", ["llama.cpp", "ollama"])
def test_the_experts_of_as_many_layers_as_pinned(engine: str, tmp_path: Path) -> None:
    choice = plan_of(tmp_path, MOE, host=None, pin={"cpu_experts": 40, "engine": engine}).choice
    assert choice is not None
    assert (choice.gpu_layers, choice.cpu_experts, choice.settings["cpu_moe"]) == (49, 40, 40)
    assert 0 < (plan_of(tmp_path, MOE, pin={"cpu_experts": 0}).choice or choice).settings["gpu_layers"] < 49  # type: ignore[operator]


@pytest.mark.parametrize(
    ("model", "gpu", "pin", "row"),
    [
        (MOE, "RTX3060-12GB", {"cpu_experts": 49}, "experts-not-as-pinned"),
        (MOE, "RTX3060-12GB", {"cpu_experts": 1}, "out-of-memory"),
        ("Qwen/Qwen3-8B", "RTX3060-12GB", {"cpu_experts": 1}, "experts-not-as-pinned"),
        (MOE, "H100-80GB", {"cpu_experts": 8, "engine": "vllm", "quantization": "bf16"}, "experts-not-as-pinned"),
    ],
)
def test_a_pin_that_cannot_hold_is_refused_with_its_figures(model: str, gpu: str, pin: dict[str, Any], row: str, tmp_path: Path) -> None:
    plan = plan_of(tmp_path, model, gpu, None, pin)
    assert plan.choice is None
    assert row in {reason.row for reason in plan.rejected[0].reasons}
    assert plan.rejected[0].candidate.memory is not None


def test_layers_go_to_two_gpus_by_their_bytes(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, "openai/gpt-oss-120b", "RTX5090-32GB", 128, {"quantization": "gguf-mxfp4"}, gpus=2, max_context=131072)
    choice = plan.choice
    assert choice is not None
    assert choice.pipeline_parallel == 2
    first, second = map(int, str(choice.settings["tensor_split"]).split(","))
    assert first + second == 37 == choice.gpu_layers
    assert first > second
    assert choice.cpu_experts is not None
    assert 0 < choice.cpu_experts < 10  # with equal numbers of layers the first GPU alone would be relieved, and 21 have to go


@pytest.mark.parametrize(
    ("model", "gpu", "gpus", "pin"),
    [
        (MOE, "RTX3060-12GB", 1, {}), ("Qwen/Qwen2.5-32B-Instruct", "RTX3060-12GB", 1, {}), ("Qwen/Qwen2.5-72B-Instruct", "RTX3060-12GB", 2, {}),
        ("deepseek-ai/DeepSeek-R1", "RTX3060-12GB", 1, {}), (MOE, "RTX3060-12GB", 1, {"cpu_experts": 40, "engine": "ollama"}),
        ("openai/gpt-oss-120b", "RTX5090-32GB", 2, {"quantization": "gguf-mxfp4"}),
    ],
)  # fmt: skip
def test_the_terms_say_what_lies_where(model: str, gpu: str, gpus: int, pin: dict[str, Any], tmp_path: Path) -> None:
    plan = plan_of(tmp_path, model, gpu, 1024, pin, gpus, max_context=32768)
    data = as_json(plan)
    assert check(data) >= 4
    host = data["host_memory"]
    assert evaluated(host) == pytest.approx(host["bytes"], abs=1)
    assert plan.choice is not None
    assert ("experts" in host["inputs"]) == bool(plan.choice.cpu_experts)
    assert ("whole_layers" in host["inputs"]) == (plan.choice.gpu_layers is not None and plan.choice.gpu_layers <= shape(model).layers)


def shape(name: str) -> ModelArchitecture:
    return sizes("gguf-q4_k_m", name)[0]


@pytest.mark.parametrize("engine", ["vllm", "sglang", "tensorrt-llm"])
def test_other_engines_refuse(engine: str, tmp_path: Path) -> None:
    data = {
        "model": "Qwen/Qwen2.5-32B-Instruct",
        "hardware": {"gpu": "RTX4060Ti-16GB", "host_memory_gib": 256},
        "pin": {"engine": engine, "quantization": "bf16"},
    }
    plan = planned(data, tmp_path)
    assert plan.choice is None
    assert "out-of-memory" in {reason.row for reason in plan.rejected[0].reasons}


@given(st.integers(1, 49), st.integers(0, 48))
def test_no_byte_lies_twice_or_nowhere(layers: int, experts: int) -> None:
    _, found = sizes("gguf-q4_k_m", MOE)
    parts = placed(found, layers, experts)
    assert sum(parts) == sum(found.layers) + found.output
    assert parts.gpu_dense + parts.gpu_experts == on_devices(found, layers, 1, experts)


@given(st.lists(st.integers(1, 1000), min_size=2, max_size=12), st.integers(1, 4))
def test_no_other_split_is_more_even(parts: list[int], devices: int) -> None:
    def fullest(counts: tuple[int, ...]) -> int:
        ends = [sum(counts[: number + 1]) for number in range(len(counts))]
        return max(sum(parts[end - count : end]) for end, count in zip(ends, counts, strict=True))

    def least(left: list[int], more: int) -> int:
        if more == 1:
            return sum(left)
        return min(max(sum(left[:cut]), least(left[cut:], more - 1)) for cut in range(len(left) + 1))

    counts = balanced(parts, devices)
    assert (len(counts), sum(counts)) == (devices, len(parts))
    assert fullest(counts) <= 1.001 * least(parts, devices)


def test_the_band_says_whether_the_hosts_memory_is_known(tmp_path: Path) -> None:
    """At most four times from end to end where it is not, with words; and less where it is."""
    hardware = {"gpu": "RTX3060-12GB", "host_memory_gib": 64}
    widths = []
    for known in ({}, {"host_bandwidth_gb_per_s": 90}):
        choice = planned({"model": MOE, "hardware": {**hardware, **known}, "workload": {"profile": "dev"}, "pin": LLAMA}, tmp_path).choice
        assert choice is not None
        assert choice.performance is not None
        speed = choice.performance.speed
        assert speed is not None
        widths.append(speed.tpot_ms.high / speed.tpot_ms.low)
        assert ("assumed" in speed.basis) == (not known)
    assert widths[1] < widths[0] <= 4.0 + 1e-9


@pytest.mark.parametrize(
    ("model", "method", "gpu", "gpus", "memory", "host", "experts", "measured"),
    [
        ("google/gemma-2-9b-it", "gguf-q4_k_m", 448, 1, 7.3, 102, None, 1000 / 23.7),
        ("mistralai/Mistral-Small-24B-Instruct-2501", "gguf-q4_k_m", 448, 1, 7.8, 102, None, 1000 / 5.2),
        ("openai/gpt-oss-20b", "gguf-mxfp4", 448, 1, 9.5, 102, 12, 1000 / 36.4),
        ("openai/gpt-oss-120b", "gguf-mxfp4", 1792, 2, 36, 90, 3, 1000 / 108),
        (MOE.replace("3-30B", "3.6-35B"), "gguf-q4_k_m", 360, 1, 12.4, 80, None, 1000 / 47.5),
        ("deepseek-ai/DeepSeek-R1", "gguf-q4_k_m", 1008, 1, 23.5, 205, None, 1000 / 6.5),
    ],
)
def test_speeds_are_those_of_public_reports(
    model: str, method: str, gpu: float, gpus: int, memory: float, host: float, experts: int | None, measured: float, tmp_path: Path
) -> None:
    """Within a factor of 1.3 of what the source `speed-host-reports` says was measured; the card's memory is what makes the layers come out as reported."""
    hardware = {
        "gpu": {"memory_gib": memory, "compute_capability": 8.6, "bandwidth_gb_per_s": gpu}, "gpus_per_node": gpus,
        "host_memory_gib": 1024, "host_bandwidth_gb_per_s": host,
    }  # fmt: skip
    pin = {"engine": "llama.cpp", "quantization": method, "pipeline_parallel": gpus, **({} if experts is None else {"cpu_experts": experts})}
    choice = planned({"model": model, "hardware": hardware, "workload": {"profile": "dev", "concurrency": 1, "max_context": 4096}, "pin": pin}, tmp_path).choice
    assert choice is not None
    assert choice.performance is not None
    assert choice.performance.speed is not None
    assert measured / 1.3 <= choice.performance.speed.tpot_ms.value <= measured * 1.3

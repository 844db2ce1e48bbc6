"""Partial offload: the layers that a GPU holds, bounded by both memories, and never for an engine that has no such thing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from starts import book, planned

from generator.architecture.shape import ModelArchitecture
from generator.facts.model import shape_of
from generator.plan import Candidate
from generator.sizing.gguf import GgufSizes, gguf_sizes, on_devices


def sizes(method: str) -> tuple[ModelArchitecture, GgufSizes]:
    model = shape_of("Qwen/Qwen2.5-32B-Instruct", book())
    assert model is not None
    return model, gguf_sizes(model, book().section("methods")[method], book().section("ggml_types"))


def offloaded(tmp_path: Path, gpu: Any = "RTX3060-12GB", host: float | None = 64, **workload: Any) -> Candidate | None:
    hardware = {"gpu": gpu, **({"host_memory_gib": host} if host else {})}
    data = {
        "model": "Qwen/Qwen2.5-32B-Instruct", "hardware": hardware, "workload": {"profile": "dev", **workload},
        "pin": {"engine": "llama.cpp", "quantization": "gguf-q4_k_m"},
    }  # fmt: skip
    return planned(data, tmp_path).choice


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
    layers = choice.settings["gpu_layers"]
    assert isinstance(layers, int)
    assert 1 < layers <= model.layers
    assert choice.memory.weights == on_devices(found, layers)
    assert choice.memory.headroom >= book().number("headroom.floor")
    one_more = on_devices(found, layers + 1) - on_devices(found, layers)
    assert (
        choice.memory.headroom * choice.memory.budget - one_more < book().number("headroom.floor") * choice.memory.budget + 0.1 * one_more
    )
    assert choice.performance is not None and choice.performance.speed is not None
    speed = choice.performance.speed.output_tokens_per_second
    assert speed.high > 4 * speed.low  # the host's memory is assumed, and the band says so


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

"""What every engine's memory model promises to those that call it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from memory_rows import SMALL, numbers
from shipped_families import from_config

from generator.architecture.shape import ModelArchitecture
from generator.engines import ENGINES
from generator.quantity import GIB
from generator.sizing.footprint import Device, Layout, Load

CONFIGS = Path(__file__).resolve().parents[1] / "data" / "configs"
VERSIONS = {"vllm": "0.33.0", "sglang": "0.5.15", "tensorrt-llm": "1.0.0", "tgi": "3.3.4", "llama.cpp": "b9000", "ollama": "0.20.0"}


def model(name: str) -> ModelArchitecture:
    return from_config(json.loads((CONFIGS / f"{name}.json").read_text(encoding="utf-8")))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("layout", [Layout(), Layout(tensor_parallel=4), Layout(pipeline_parallel=2)], ids=str)
@pytest.mark.parametrize("shape", ["Llama-3-8B", "deepseek-ai__DeepSeek-V4-Pro", "Qwen__Qwen3-30B-A3B"])
def test_what_is_beside_the_weights_does_not_depend_on_them(engine: str, layout: Layout, shape: str) -> None:
    """`decide.fit` works it out once for all methods of a layout."""
    architecture = SMALL if shape == "Llama-3-8B" else model(shape)
    device, load = Device(80 * GIB, compute_capability=9.0), Load(8192, 64, 4096)
    known = [ENGINES[engine].memory.fixed(architecture, layout, load, device, weights, numbers(VERSIONS[engine])) for weights in (0, GIB, 70 * GIB)]
    assert known[0] == known[1] == known[2]
    assert known[0].total > 0


@pytest.mark.parametrize("engine", ENGINES)
def test_versions_are_those_of_every_engine(engine: str) -> None:
    assert engine in VERSIONS

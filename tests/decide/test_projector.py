"""`serve.images`: the vision projector of a GGUF is counted where the engine loads it, and the tower where it is not left out."""

from __future__ import annotations

from typing import Any

import pytest
from plans import book, plan

from generator.facts.model import shape_of
from generator.plan import Candidate

MODEL = "Qwen/Qwen3.8-27B"


def weights(gpu: str, engine: str, images: int | None, **pin: Any) -> int:
    found = chosen({"gpu": gpu}, engine, images, **pin)
    assert found.memory is not None
    return found.memory.weights


def chosen(hardware: dict[str, Any], engine: str, images: int | None, **pin: Any) -> Candidate:
    serve = {} if images is None else {"serve": {"images": images}}
    found = plan({"model": MODEL, "hardware": hardware, "workload": {"profile": "dev"}, **serve, "pin": {"engine": engine, **pin}}).plan.choice
    assert found is not None
    return found


def tower() -> int:
    architecture = shape_of(MODEL, book())
    assert architecture is not None
    return sum(2 * m.parameters for m in architecture.matrices if m.role == "vision")


def test_the_tower_is_the_projector_that_was_published() -> None:
    assert tower() == pytest.approx(931_146_432, rel=0.011)  # mmproj-BF16.gguf of unsloth/Qwen3.8-27B-GGUF


@pytest.mark.parametrize(("gpu", "engine"), [("RTX3090-24GB", "llama.cpp"), ("RTX3090-24GB", "ollama"), ("M4-Max-64GB", "llama.cpp")])
def test_a_projector_is_counted_unless_the_spec_wants_no_images(gpu: str, engine: str) -> None:
    with_it, without = (weights(gpu, engine, images, quantization="gguf-q4_k_m") for images in (None, 0))
    assert with_it - without == tower()
    assert weights(gpu, engine, 4, quantization="gguf-q4_k_m") == with_it


def test_ollama_only_moves_it_to_the_host() -> None:
    found = [weights("M4-Max-64GB", "ollama", images, quantization="gguf-q4_k_m") for images in (None, 0)]
    assert found[0] == found[1]


def test_it_is_counted_beside_experts_in_host_memory() -> None:
    pin = {"engine": "llama.cpp", "quantization": "gguf-ud-q4_k_xl", "cpu_experts": 30}
    model = {"model": "Qwen/Qwen3.6-35B-A3B", "hardware": {"gpu": "RTX3060-12GB"}, "pin": pin}
    found = [plan({**model, "serve": {"images": images}}).plan.choice for images in (1, 0)]
    sizes = [one.memory.weights for one in found if one is not None and one.memory is not None]
    assert 0.85e9 < sizes[0] - sizes[1] < 0.95e9


def test_the_projector_does_not_slow_text_down() -> None:
    found = [chosen({"gpu": "RTX3090-24GB"}, "llama.cpp", images, quantization="gguf-q4_k_m").performance for images in (1, 0)]
    speeds = [one.speed.tpot_ms.value for one in found if one is not None and one.speed is not None]
    assert speeds[0] == speeds[1]


def test_vllm_leaves_the_tower_out_from_the_version_that_can() -> None:
    new = [weights("L40S-48GB", "vllm", images, quantization="fp8") for images in (1, 0)]
    assert new[0] - new[1] == pytest.approx(tower(), rel=0.02)
    model = {"model": "Qwen/Qwen3-VL-8B-Instruct", "hardware": {"gpu": "L40S-48GB"}, "pin": {"engine": "vllm", "engine_version": "0.13.0"}}
    old = [plan({**model, "serve": {"images": images}}).plan.choice for images in (1, 0)]
    assert old[0] is not None and old[1] is not None and old[0].memory is not None and old[1].memory is not None
    assert old[0].memory.weights == old[1].memory.weights
    assert old[1].settings["text_only"] is True

"""Pins: words outside the catalogue, and more GPUs than the spec has, all problems at once."""

from __future__ import annotations

from typing import Any

import pytest
from plans import book, spec_of

from generator.decide.context import check_pins
from generator.errors import InputError

BASE = {"model": "Qwen/Qwen2.5-7B-Instruct", "hardware": {"gpu": "A100-80GB", "gpus_per_node": 2}}


@pytest.mark.parametrize(
    ("pin", "deploy", "codes"),
    [
        ({}, {}, []),
        ({"engine": "vllm", "engine_version": "0.30.0", "quantization": "fp8", "kv_cache_dtype": "fp8", "tensor_parallel": 2}, {"replicas": 1}, []),
        ({"engine": "vlm"}, {}, ["unknown-engine"]),
        ({"quantization": "fp9"}, {}, ["unknown-quantization"]),
        ({"kv_cache_dtype": "fp7"}, {}, ["unknown-kv-cache-dtype"]),
        ({"engine_version": "0.30.0"}, {}, ["missing-key"]),
        ({"tensor_parallel": 2, "pipeline_parallel": 2}, {}, ["too-few-gpus"]),
        ({"pipeline_parallel": 4}, {}, ["too-few-gpus"]),
        ({"tensor_parallel": 2}, {"replicas": 2}, ["too-few-gpus"]),
        ({}, {"replicas": 3}, ["too-few-gpus"]),
        ({"tensor_parallel": 4}, {"replicas": 2}, ["too-few-gpus"]),  # said once: of the pins
        ({"engine": "vlm", "quantization": "fp9"}, {"extra_args": {"tgii": {"x": 1}}}, ["unknown-engine", "unknown-quantization", "unknown-engine"]),
    ],
)
def test_pins(pin: dict[str, Any], deploy: dict[str, Any], codes: list[str]) -> None:
    spec = spec_of({**BASE, "pin": pin, "deploy": deploy})
    try:
        check_pins(spec, book())
    except InputError as error:
        assert [problem.code for problem in error.problems] == codes
    else:
        assert codes == []


def test_a_near_word_is_suggested_at_its_place() -> None:
    with pytest.raises(InputError) as caught:
        check_pins(spec_of({**BASE, "pin": {"engine": "vlm"}}), book())
    (problem,) = caught.value.problems
    assert "did you mean 'vllm'" in problem.message
    assert problem.place is not None and problem.place.line > 1

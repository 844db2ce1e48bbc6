"""The workload: what the user wrote stands, and the profile's numbers give way to it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "decide"))
from plans import spec_of

from generator.facts.workload import resolve_workload

DEFAULTS = {"profile": "chat", "goal": "balanced", "concurrency": 16, "input_tokens": 1000, "output_tokens": 500, "max_context": 8192}


@pytest.mark.parametrize(
    ("asked", "pin", "model_context", "expected"),
    [
        ({}, {}, 0, (8192, 1000, 500)),
        ({}, {}, 4096, (4096, 1000, 500)),  # no more than the model has
        ({"max_context": 8192}, {}, 4096, (8192, 1000, 500)),  # unless the user says so
        ({"input_tokens": 20000}, {}, 0, (20500, 20000, 500)),  # the context covers the lengths that the user gave
        ({"input_tokens": 20000}, {}, 4096, (4096, 20000, 500)),
        ({"max_context": 1000}, {}, 0, (1000, 500, 500)),  # the profile's lengths are cut into the user's context
        ({"max_context": 600}, {}, 0, (600, 300, 300)),
        ({"max_context": 600, "output_tokens": 500}, {}, 0, (600, 1000, 500)),  # but not what the user gave
        ({"max_context": 2}, {}, 0, (2, 1, 1)),
        ({}, {"max_model_len": 2048}, 1024, (2048, 1000, 500)),  # a pin is the context
        ({"max_context": 4096}, {"max_model_len": 2048}, 0, (4096, 1000, 500)),
    ],
)
def test_context_and_lengths(asked: dict[str, int], pin: dict[str, int], model_context: int, expected: tuple[int, int, int]) -> None:
    spec = spec_of({"model": "Qwen/Qwen2.5-7B-Instruct", "hardware": {"gpu": "A100-80GB"}, "workload": asked, "pin": pin})
    found = resolve_workload(spec, DEFAULTS, model_context)
    assert (found.max_context, found.input_tokens, found.output_tokens) == expected
    assert found.given == asked.keys()
    assert found.tokens == expected[1] + expected[2]


@pytest.mark.parametrize(("asked", "expected"), [({}, 16), ({"concurrency": 3}, 3), ({"concurrency": "max"}, None)])
def test_concurrency(asked: dict[str, Any], expected: int | None) -> None:
    spec = spec_of({"model": "Qwen/Qwen2.5-7B-Instruct", "hardware": {"gpu": "A100-80GB"}, "workload": asked})
    assert resolve_workload(spec, DEFAULTS, 0).concurrency == expected

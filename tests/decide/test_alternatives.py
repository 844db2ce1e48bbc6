"""The alternatives of a plan: what is worth an estimate, and what no other candidate of its engine beats."""

from __future__ import annotations

import pytest

from generator.decide.pareto import contenders, pareto
from generator.facts.quality import Quality
from generator.plan import Candidate, Performance
from generator.sizing.footprint import Footprint
from generator.throughput.shapes import Range, Speed

LEVEL = 0.1


def one(engine: str, method: str, tensor_parallel: int = 1, *, need: int = 10, loss: float | None = 0.0, speed: float | None = 100.0) -> Candidate:
    """A candidate with what the comparison reads: bytes on a GPU, loss in percent, tokens per second."""
    figure = None if speed is None else Range(speed, speed, speed)
    performance = None if figure is None else Performance(Speed(figure, None, figure, "bandwidth", "test", 1.0, 1))
    return Candidate(
        engine, "1", method, 16.0, None, "checkpoint", None, None, "native", "bfloat16", tensor_parallel,
        memory=Footprint(need, 5, 5, 0, 0, 0, 100, 100), quality=Quality(loss, None, None, None), performance=performance,
    )  # fmt: skip


def alternatives(*found: Candidate) -> list[str]:
    return [candidate.id for candidate in pareto(found, LEVEL, lambda candidate: candidate)]


BASE = one("vllm", "bf16")


@pytest.mark.parametrize(
    ("other", "shown"),
    [
        (one("vllm", "fp8", need=5), True),  # less memory
        (one("vllm", "fp8", speed=120.0), True),  # faster by more than what is level
        (one("vllm", "fp8", speed=105.0), True),  # level and no worse in anything
        (one("vllm", "fp8", need=20), False),  # more memory, as fast
        (one("vllm", "fp8", need=20, speed=105.0), True),  # level speeds do not beat what is the faster one
        (one("vllm", "fp8", loss=1.0), False),  # loses more
        (one("vllm", "fp8", loss=None), False),  # an unknown loss is the worst
        (one("vllm", "fp8", speed=None), False),  # no estimate is the slowest
        (one("vllm", "fp8", 2, need=5), False),  # two GPUs, and no less in all
        (one("vllm", "fp8", 2, need=5, speed=150.0), True),
        (one("sglang", "bf16", need=90, speed=1.0), True),  # engines are not compared
    ],
)
def test_what_the_choice_does_not_beat_is_an_alternative(other: Candidate, shown: bool) -> None:
    assert alternatives(BASE, other) == ([other.id] if shown else [])


def test_methods_come_before_further_layouts_of_one() -> None:
    found = [BASE, one("vllm", "bf16", 2, speed=400.0), one("vllm", "fp8", need=5), one("vllm", "fp8", 2, need=3, speed=300.0)]
    assert alternatives(*found) == ["vllm/fp8/tp1", "vllm/bf16/tp2", "vllm/fp8/tp2"]


def test_a_speed_is_estimated_once_and_only_where_it_decides() -> None:
    asked: list[str] = []

    def estimated(candidate: Candidate) -> Candidate:
        asked.append(candidate.id)
        return candidate

    list(pareto([BASE, one("sglang", "bf16"), one("sglang", "fp8", need=20)], LEVEL, estimated))
    assert sorted(asked) == ["sglang/bf16/tp1", "sglang/fp8/tp1"]  # the first of an engine is shown with its speed, vllm's is the choice


def test_contenders_are_the_best_layout_and_the_one_with_the_fewest_gpus() -> None:
    best_first = [one("vllm", "bf16", 4), one("vllm", "bf16", 2), one("vllm", "fp8", 1), one("vllm", "bf16", 1), one("vllm", "fp8", 2)]
    assert [c.id for c in contenders(best_first, 9)] == ["vllm/bf16/tp4", "vllm/fp8/tp1", "vllm/bf16/tp1"]
    assert [c.id for c in contenders(best_first, 1)] == ["vllm/bf16/tp4", "vllm/fp8/tp1"]  # the choice and one more

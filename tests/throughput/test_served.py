"""A batching server under a load, on a machine whose times are given: where queueing, prompts and waiting come in."""

from __future__ import annotations

from typing import Any

import pytest

from generator.throughput.estimate import served
from generator.throughput.shapes import Demand, Split
from generator.throughput.steps import Step


class Given:
    """A machine with fixed times: a step of 10 ms, a prompt of 100 ms that delays others by 20 ms, and 5 ms before the first token."""

    first_base, first_sequence, queue, drafting = 0.005, 0.001, 0.5, None

    def __init__(self, replicas: int = 1) -> None:
        self.split = Split(replicas=replicas)
        self.decoded: list[tuple[float, float]] = []

    def decode(self, sequences: float, context: float) -> Step:
        self.decoded.append((sequences, context))
        return Step(0.010, 0.004, 0.0, 0.0)

    def prefill(self, tokens: float) -> Step:
        return Step(0.0, 0.100, 0.0, 0.0)

    def prefill_delay(self, tokens: float) -> float:
        return 0.020


def of(demand: Demand, replicas: int = 1) -> Any:
    machine: Any = Given(replicas)
    return served(machine, demand)


def test_alone() -> None:
    found = of(Demand(1, 1000, 100, 8))
    assert found.tpot == pytest.approx(0.010)
    assert found.ttft == pytest.approx(0.005 + 0.100 + 0.010)
    assert found.output_per_second == pytest.approx(100 / (0.005 + 0.100 + 100 * 0.010))


def test_prompts_of_the_others_delay_each_token() -> None:
    found = of(Demand(5, 1000, 100, 8))
    assert found.tpot == pytest.approx(0.010 + 0.5 * 4 * 0.020 / 99)
    assert found.ttft == pytest.approx(0.005 + 0.100 + 0.010 + 4 * (0.001 + 0.5 * 0.020))
    assert found.output_per_second == pytest.approx(5 * 100 / (0.005 + 4 * 0.001 + 0.100 + 4 * 0.020 + 100 * 0.010))


def test_replicas_share_the_load() -> None:
    assert of(Demand(8, 1000, 100, 8), replicas=4).running == 2
    few = of(Demand(2, 1000, 100, 8), replicas=4)
    assert (few.running, few.asked) == (1, 1)  # at least one


def test_who_finds_no_place_waits_for_the_requests_before() -> None:
    full, over = of(Demand(8, 1000, 100, 8)), of(Demand(24, 1000, 100, 8))
    request = 0.005 + 7 * 0.001 + 0.100 + 7 * 0.020 + 100 * 0.010
    assert (over.running, over.asked) == (8, 24)
    assert over.ttft == pytest.approx(full.ttft + (24 - 8) / 8 * request)
    assert over.output_per_second == full.output_per_second


def test_as_many_as_there_is_room_for() -> None:
    found = of(Demand(None, 1000, 100, 8))
    assert (found.running, found.asked) == (8, 8)


def test_a_sequence_is_on_average_half_answered() -> None:
    machine: Any = Given()
    served(machine, Demand(3, 1000, 100, 8))
    assert machine.decoded == [(3, 1050)]


@pytest.mark.parametrize(
    ("step", "total", "limit"),
    [
        (Step(3, 2, 1, 1), 5, "bandwidth"),
        (Step(2, 3, 1, 1), 5, "compute"),
        (Step(2, 3, 1, 1, added=True), 7, "compute"),
        (Step(1, 1, 3, 2), 6, "communication"),
        (Step(1, 1, 2, 3), 6, "host"),
    ],
)
def test_a_step_reads_while_it_computes(step: Step, total: float, limit: str) -> None:
    assert (step.total, step.limit) == (total, limit)


def test_reading_prompts_counts_as_arithmetic() -> None:
    assert of(Demand(1, 1000, 100, 8)).limit == "bandwidth"
    assert of(Demand(64, 1000, 100, 64)).limit == "compute"

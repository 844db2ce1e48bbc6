"""A batching server as a queue: what `served` says against Little's law and against a replay of the loop, request by request."""

from __future__ import annotations

import heapq
from statistics import mean
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_monotone import EXAMPLES, calibration, candidates, loads, no_less, speed

from generator.engines import ENGINES
from generator.throughput.estimate import Served, Setting, served
from generator.throughput.shapes import Demand, Split
from generator.throughput.steps import Step

PROMPT, STEP = 0.2, 0.01


def machine(queue: float = 0.0, front: float = 0.0, replicas: int = 1) -> SimpleNamespace:
    """A server whose prompts and steps take the same time whatever the load."""
    return SimpleNamespace(
        decode=lambda sequences, context: Step(STEP, 0.0, 0.0, 0.0), prefill=lambda tokens: Step(PROMPT, 0.0, 0.0, 0.0),
        prefill_delay=lambda tokens: PROMPT, first_base=front, first_sequence=0.0, queue=queue, split=Split(replicas=replicas), drafting=None,
    )  # fmt: skip


def by_formula(demand: Demand, **kinds: float) -> Served:
    return served(machine(**kinds), demand)  # type: ignore[arg-type]


def replayed(clients: int, places: int, request: float, requests: int = 20_000) -> tuple[float, float]:
    """A closed loop, each request `request` seconds in a place: answers per second, and the mean wait for a place."""
    free = [0.0] * places
    asking = [(0.0, client) for client in range(clients)]
    waits, ends = [], []
    for _ in range(requests):
        asked, client = heapq.heappop(asking)
        start = max(asked, heapq.heappop(free))
        heapq.heappush(free, start + request)
        heapq.heappush(asking, (start + request, client))
        waits.append(start - asked)
        ends.append(start + request)
    late = requests // 2
    return (requests - late) / (ends[-1] - ends[late - 1]), mean(waits[late:])


@pytest.mark.parametrize(("clients", "places"), [(1, 1), (4, 1), (7, 3), (64, 17), (100, 99), (8, 8)])
def test_the_wait_for_a_place_is_that_of_a_closed_loop(clients: int, places: int) -> None:
    found, alone = (by_formula(Demand(c, 1000, 50, float(places))) for c in (clients, places))
    request = alone.ttft + 49 * alone.tpot
    rate, wait = replayed(clients, places, request)
    assert found.output_per_second == pytest.approx(rate * 50, rel=1e-3)
    assert found.ttft - alone.ttft == pytest.approx(wait, rel=2e-2, abs=1e-9)
    assert found.tpot == alone.tpot  # those who wait take no part in a step


@pytest.mark.parametrize("together", [2, 8, 64])
def test_all_at_once_is_as_if_the_prompts_were_read_one_after_the_other(together: int) -> None:
    tokens = 200
    firsts = [PROMPT * (number + 1) for number in range(together)]
    end = firsts[-1] + (tokens - 1) * STEP  # prompts first: nobody decodes before the last prompt is read
    found = by_formula(Demand(together, 1000, tokens, 1000.0, burst=True))
    assert found.tpot == pytest.approx(mean((end - first) / (tokens - 1) for first in firsts))
    assert found.ttft == pytest.approx(mean(firsts) + STEP)


@EXAMPLES
@given(candidates(), loads, st.floats(1.0, 600.0))
def test_littles_law(setting: Setting, demand: Demand, places: float) -> None:
    demand = demand._replace(most=places, concurrency=(demand.concurrency or 1) * setting.split.replicas)
    found = served(setting.machine(calibration()), demand)
    request = found.ttft + (demand.output_tokens - 1) * found.tpot
    assert found.output_per_second / demand.output_tokens * request == pytest.approx(found.asked)
    together = found.together.ttft + (demand.output_tokens - 1) * found.together.tpot
    assert together == pytest.approx(request)  # how requests arrive moves waiting from one place to another


@EXAMPLES
@given(candidates(), loads, st.floats(1.0, 512.0), st.floats(1.0, 512.0))
def test_more_places_never_put_out_less_and_never_wait_longer(setting: Setting, demand: Demand, one: float, other: float) -> None:
    few, many = (speed(setting, demand._replace(most=places)) for places in sorted((one, other)))
    assert no_less(many.output_tokens_per_second.value, few.output_tokens_per_second.value)
    assert few.ttft_ms is not None
    assert many.ttft_ms is not None
    assert no_less(few.ttft_ms.value, many.ttft_ms.value)


@EXAMPLES
@given(candidates(), loads)
def test_the_band_of_an_engine_that_reads_prompts_first_reaches_from_one_way_of_arriving(setting: Setting, demand: Demand) -> None:
    steady, burst = (speed(setting, demand._replace(burst=burst)) for burst in (False, True))
    assert burst.output_tokens_per_second == steady.output_tokens_per_second
    assert burst.ttft_ms is not None
    assert steady.ttft_ms is not None
    if ENGINES[setting.engine].speed.prompts_first:
        assert steady.tpot_ms.low < burst.tpot_ms.value < steady.tpot_ms.high
        assert steady.ttft_ms.low < burst.ttft_ms.value < steady.ttft_ms.high
        assert no_less(steady.tpot_ms.value, burst.tpot_ms.value)


def test_idle_replicas_put_out_nothing() -> None:
    one, spread = by_formula(Demand(1, 1000, 50, 64.0)), by_formula(Demand(3, 1000, 50, 64.0), replicas=8)
    assert spread.output_per_second == one.output_per_second
    assert spread.running == spread.asked == 1.0

"""What the choice of a layout costs against measurements: the bars of `benchmarks/regret.py`, on eight GPUs."""

from __future__ import annotations

from functools import cache
from statistics import mean, median

import pytest
from plans import book

from benchmarks.dominated import decided
from benchmarks.measured import Figures, Ways, curves, on_box
from benchmarks.regret import Case, cases, held, quantile, spec_of

BARS = {"balanced": (0.01, 0.05, 0.16), "throughput": (0.01, 0.05, 0.16), "latency": (0.01, 0.05, 0.16)}
"""Median, mean and 90th percentile of regret by goal."""
LEAST = 190
"""Cases whose choice was measured at their load."""


@cache
def layouts() -> list[Case]:
    return [case for case in cases(curves()) if (case.free, case.box) == ("layout", 8)]


@pytest.mark.slow
@pytest.mark.parametrize("goal", BARS)
def test_regret_of_layouts(goal: str) -> None:
    results = []
    for case in layouts():
        outcome = decided(spec_of(case, goal, book()), book())
        results.append(held(case, outcome.plan.choice if outcome else None, goal))
    values = sorted(one.regret for one in results if one.regret is not None)
    assert len(values) >= LEAST
    reached = (median(values), mean(values), quantile(values, 0.9))
    assert all(value <= bar for value, bar in zip(reached, BARS[goal], strict=True)), reached


def test_a_box_is_full_of_replicas_and_nothing_lies_beyond_what_was_measured() -> None:
    known = curves()
    server = next(one for one in known if (one.model, one.engine, one.gpu) == ("meta-llama/Llama-3.1-70B", "vllm", "H100-SXM"))
    one = known[server][Ways(4, 1)]
    loads = sorted(one.points)
    assert on_box({Ways(4, 1): one}, 8, 2 * loads[0])[Ways(4, 1)] == Figures(*one.points[loads[0]]).times(2)
    assert on_box({Ways(4, 1): one}, 8, 2 * loads[0] - 1) == {} == on_box({Ways(4, 1): one}, 8, 2 * loads[-1] + 1)
    between = one.at((loads[0] * loads[1]) ** 0.5)
    assert between is not None
    assert between.output == pytest.approx((one.points[loads[0]].output * one.points[loads[1]].output) ** 0.5)
    assert on_box({Ways(4, 1): one}, 2, loads[0]) == {}

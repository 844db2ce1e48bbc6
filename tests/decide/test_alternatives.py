"""The contests of `prefer`, and the candidates that are best in one respect."""

from __future__ import annotations

from typing import Any

import pytest

from generator.decide.prefer import Contests, Ranked, extremes
from generator.facts.quality import Quality
from generator.plan import Candidate, Performance
from generator.rulebook.table import Rank, Row
from generator.throughput.shapes import Range, Speed

LEVEL = 0.2


def one(engine: str, method: str, tensor_parallel: int = 1, *, loss: float | None = 0.0, output: float | None = 100.0, tpot: float = 10.0) -> Candidate:
    """A candidate with tokens per second, milliseconds per token and loss in percent."""
    figures = None if output is None else Speed(Range(output, output, output), None, Range(tpot, tpot, tpot), "bandwidth", "test", 1.0, 1)
    performance = None if figures is None else Performance(figures)
    return Candidate(
        engine, "1", method, 16.0, None, "checkpoint", None, None, "native", "bfloat16", tensor_parallel,
        quality=Quality(loss, None, None, None), performance=performance,
    )  # fmt: skip


def row(id: str, rank: Rank | None = None, order: tuple[str, dict[object, int]] | None = None, unbeaten: tuple[Rank, ...] = ()) -> Row:
    """A criterion."""
    return Row(id, {}, (), 0, "", None, "", {}, rank, unbeaten, order)


FASTEST = row("fastest", Rank("speed.output_tokens_per_second", higher=True, beyond=True, estimate=True))
EXACT = row("exact", Rank("speed.output_tokens_per_second", higher=True, beyond=False, estimate=True))
ENGINES = row("engines", order=("engine", {"vllm": 0, "sglang": 1}))
UNBEATEN = row("unbeaten", unbeaten=(
    Rank("speed.output_tokens_per_second", higher=True, beyond=True, estimate=True), Rank("tensor_parallel", higher=False, beyond=False, estimate=False),
))  # fmt: skip
FP8 = row("fp8-first", order=("method", {"fp8": 0}))
GPUS = row("fewer-gpus", Rank("tensor_parallel", higher=False, beyond=False, estimate=False))


def estimated(ranked: Ranked) -> dict[str, object] | None:
    performance = ranked.candidate.performance
    return None if performance is None or performance.speed is None else {
        "speed.output_tokens_per_second": performance.speed.output_tokens_per_second.value
    }  # fmt: skip


def ranked(candidate: Candidate) -> Ranked:
    facts: Any = {"engine": candidate.engine, "method": candidate.method, "tensor_parallel": candidate.tensor_parallel}
    return Ranked(candidate, facts, {}, None)


def contests(*rows: Row) -> Contests:
    return Contests(rows, lambda among, name: LEVEL, estimated)


CHOICES = [
    ("a-difference-within-the-noise-does-not-count", (FASTEST, ENGINES), [one("vllm", "a"), one("sglang", "a", output=119.0)], "vllm/a/tp1", ["engines"]),
    ("beyond-the-noise-it-does", (FASTEST, ENGINES), [one("vllm", "a"), one("sglang", "a", output=121.0)], "sglang/a/tp1", ["fastest"]),
    ("inside-it-the-better-estimate-decides", (FASTEST, EXACT), [one("vllm", "a"), one("vllm", "a", 2, output=101.0)], "vllm/a/tp2", ["exact"]),
    ("a-policy-wins-over-an-estimate", (FP8, FASTEST), [one("vllm", "fp8"), one("vllm", "a", output=500.0)], "vllm/fp8/tp1", ["fp8-first"]),
    ("without-an-estimate-other-rows-decide", (FASTEST, GPUS), [one("vllm", "a", 2, output=None), one("vllm", "a")], "vllm/a/tp1", ["fewer-gpus"]),
    ("ids-break-exact-ties", (FASTEST, EXACT), [one("vllm", "b"), one("vllm", "a")], "vllm/a/tp1", []),
    ("who-is-beaten-loses-to-no-other-row", (UNBEATEN, ENGINES), [one("vllm", "a", 2), one("sglang", "a", output=101.0)], "sglang/a/tp1", ["unbeaten"]),
    ("a-trade-beats-nothing", (UNBEATEN, ENGINES), [one("vllm", "a", 2, output=150.0), one("sglang", "a")], "vllm/a/tp2", ["engines"]),
    ("layouts-before-methods", (FASTEST, EXACT), [one("vllm", "b"), one("vllm", "b", 2, output=300.0), one("vllm", "a", output=200.0)], "vllm/b/tp2",
     ["fastest", "fastest"]),
]  # fmt: skip


@pytest.mark.parametrize(("rows", "found", "winner", "told"), [case[1:] for case in CHOICES], ids=[case[0] for case in CHOICES])
def test_contests(rows: tuple[Row, ...], found: list[Candidate], winner: str, told: list[str]) -> None:
    order = contests(*rows).order([ranked(candidate) for candidate in found])
    assert order.best_first[0].candidate.id == winner
    assert [step.row.id for step in order.steps] == told
    assert sorted(entry.candidate.id for entry in order.best_first) == sorted(candidate.id for candidate in found)


def test_a_policy_has_its_price() -> None:
    known = contests(FP8, FASTEST)
    order = known.order([ranked(candidate) for candidate in (one("vllm", "fp8"), one("vllm", "a", output=150.0), one("vllm", "b", output=110.0))])
    assert known.cost(order.steps[0], order.best_first[0]) == "output_tokens_per_second of vllm/a/tp1 is estimated at 1.50 × this"
    level = known.order([ranked(candidate) for candidate in (one("vllm", "fp8"), one("vllm", "b", output=110.0))])
    assert known.cost(level.steps[0], level.best_first[0]) is None


def test_why_one_lost_to_another() -> None:
    known = contests(FP8, FASTEST, ENGINES)
    best, other = ranked(one("vllm", "fp8")), ranked(one("vllm", "a", output=150.0))
    assert known.deciding(best, other) is FP8
    assert known.deciding(best, ranked(one("sglang", "fp8"))) is ENGINES
    assert known.deciding(best, best) is None


def test_extremes() -> None:
    found = [one("vllm", "a"), one("vllm", "b", 2, output=200.0, loss=None), one("vllm", "c", 2, tpot=5.0), one("vllm", "d", 2, loss=-0.5)]
    speeds = [candidate.performance.speed for candidate in found if candidate.performance and candidate.performance.speed]
    figures = [{"speed.output_tokens_per_second": s.output_tokens_per_second.value, "speed.tpot_ms": s.tpot_ms.value} for s in speeds]
    assert [found[place].method for place in extremes([ranked(candidate) for candidate in found], figures)] == ["b", "c", "d", "a"]
    assert list(extremes([], [])) == []

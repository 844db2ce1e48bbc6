"""The alternatives of a plan: what nothing beats in memory, speed, quality and number of GPUs together.

Floor 3, pure. An engine is a choice of its own, so candidates are compared within their engine only: how far engines
are apart in speed is within the band of the estimates.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

from generator.plan import Candidate

Figures = tuple[float, float, float, int]


POOL = 3
"""How many candidates are compared for each that is shown."""


def contenders(best_first: Sequence[Candidate], most: int) -> list[Candidate]:
    """The candidates worth an estimate, best first: of each engine and method the best layout, and the best with the fewest GPUs."""
    fewest: dict[tuple[str, str], int] = {}
    for one in best_first:
        key = (one.engine, one.method)
        fewest[key] = min(one.gpus, fewest.get(key, one.gpus))
    kept: list[Candidate] = []
    seen: set[tuple[tuple[str, str], str]] = set()
    for one in best_first:
        key = (one.engine, one.method)
        marks = {(key, "best")} | ({(key, "fewest")} if one.gpus == fewest[key] else set())
        if not marks <= seen:
            kept.append(one)
            seen |= marks
            if len(kept) > most:
                break
    return kept


def pareto(best_first: Sequence[Candidate], level: float) -> list[Candidate]:
    """The candidates but the first (the choice) that none of their engine beats, best first.

    The best layout of each engine and method comes before further layouts of it; `level` is the share by which two
    speeds may differ and still be level.
    """
    by_engine: dict[str, list[tuple[Candidate, Figures]]] = {}
    for candidate in best_first:
        by_engine.setdefault(candidate.engine, []).append((candidate, _figures(candidate)))
    kept = []
    for rank, candidate in enumerate(best_first[1:]):
        mine = _figures(candidate)
        rivals = by_engine[candidate.engine]
        if not any(other is not candidate and _beats(figures, mine, level) for other, figures in rivals):
            kept.append((rank, candidate))
    seen: dict[tuple[str, str], int] = {}
    for candidate in best_first[:1]:
        seen[(candidate.engine, candidate.method)] = 1
    order = []
    for rank, candidate in kept:
        key = (candidate.engine, candidate.method)
        order.append((seen.get(key, 0), rank, candidate))
        seen[key] = seen.get(key, 0) + 1
    return [candidate for _, _, candidate in sorted(order, key=lambda entry: entry[:2])]


def _figures(candidate: Candidate) -> Figures:
    """Bytes needed on all GPUs, output tokens/s (negative), loss in percent, GPUs: less is better."""
    memory, performance = candidate.memory, candidate.performance
    needed = (memory.total - memory.kv_cache + memory.kv_needed) * candidate.gpus if memory else 0
    speed = performance.speed.output_tokens_per_second.value if performance and performance.speed else 0.0
    loss = candidate.quality.value
    return float(needed), -speed, inf if loss is None else loss, candidate.gpus


def _beats(one: Figures, other: Figures, level: float) -> bool:
    """Whether `one` is no worse in anything and better in something; speeds that are level do not count as better."""
    faster = -one[1] > -other[1] * (1.0 + level)
    no_slower = -one[1] >= -other[1]
    no_worse = one[0] <= other[0] and no_slower and one[2] <= other[2] and one[3] <= other[3]
    return no_worse and (faster or one[0] < other[0] or one[2] < other[2] or one[3] < other[3])

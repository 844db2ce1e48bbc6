"""The alternatives of a plan: what nothing beats in memory, speed, quality and number of GPUs together.

Floor 5, pure. An engine is a choice of its own, so candidates are compared within their engine only: how far engines
are apart in speed is within the band of the estimates.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from math import inf

from generator.plan import Candidate

Needs = tuple[float, float, int]
"""Bytes needed on all GPUs, loss in percent, GPUs: less is better."""

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


def pareto(best_first: Sequence[Candidate], level: float, estimated: Callable[[Candidate], Candidate]) -> Iterator[Candidate]:
    """The candidates but the first (the choice) that none of their engine beats, `estimated`, best first.

    The best layout of each engine and method comes before further layouts of it; `level` is the share by which two
    speeds may differ and still be level. Speeds are only estimated where they decide or are shown.
    """
    rivals = _Rivals(best_first, level, estimated)
    shown = {(one.engine, one.method) for one in best_first[:1]}
    waiting = list(best_first[1:])
    while waiting:
        further = []
        for one in waiting:
            if (one.engine, one.method) in shown:
                further.append(one)
            elif not rivals.beat(one):
                shown.add((one.engine, one.method))
                yield rivals.with_speed(one)
        waiting, shown = further, set()


class _Rivals:
    """Candidates that are compared with those of their engine."""

    def __init__(self, found: Sequence[Candidate], level: float, estimated: Callable[[Candidate], Candidate]) -> None:
        self.level, self.estimated = level, estimated
        self.known: dict[str, Candidate] = {}
        self.found, self.needs = found, {one.id: _needs(one) for one in found}

    def with_speed(self, one: Candidate) -> Candidate:
        """The candidate with its speed, estimated once."""
        if one.id not in self.known:
            self.known[one.id] = self.estimated(one)
        return self.known[one.id]

    def beat(self, one: Candidate) -> bool:
        """Whether some other candidate of its engine is no worse in anything and better in something; level speeds are not better."""
        mine = self.needs[one.id]
        for other in self.found:
            its = self.needs[other.id]
            if other is one or other.engine != one.engine or any(more > least for more, least in zip(its, mine, strict=True)):
                continue
            rival, speed = self._speed(other), self._speed(one)
            if rival > speed * (1.0 + self.level) or (rival >= speed and its != mine):
                return True
        return False

    def _speed(self, one: Candidate) -> float:
        performance = self.with_speed(one).performance
        return performance.speed.output_tokens_per_second.value if performance and performance.speed else 0.0


def _needs(candidate: Candidate) -> Needs:
    """What a candidate takes, by everything but its speed."""
    memory, loss = candidate.memory, candidate.quality.value
    needed = (memory.total - memory.kv_cache + memory.kv_needed) * candidate.gpus if memory else 0
    return float(needed), inf if loss is None else loss, candidate.gpus

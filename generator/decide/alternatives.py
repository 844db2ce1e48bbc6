"""The alternatives of a plan beside the best layout of each engine and method: what is best in one respect.

Floor 5, pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import inf

from generator.plan import Candidate


def extremes(best_first: Sequence[Candidate]) -> Iterator[Candidate]:
    """The first of the candidates that are best by speed, by latency, by loss and by the number of GPUs."""
    if best_first:
        for measure in (_speed, _latency, _loss, lambda one: one.gpus):
            yield min(best_first, key=measure)


def _speed(one: Candidate) -> float:
    speed = one.performance.speed if one.performance else None
    return -speed.output_tokens_per_second.value if speed else 0.0


def _latency(one: Candidate) -> float:
    speed = one.performance.speed if one.performance else None
    return speed.tpot_ms.value if speed else inf


def _loss(one: Candidate) -> float:
    return inf if one.quality.value is None else one.quality.value

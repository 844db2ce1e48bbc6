"""The alternatives of a plan beside the best layout of each engine and method: what is best in one respect. Floor 5, pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import inf

from generator.decide.prefer import Ranked
from generator.rulebook.table import Facts


def extremes(best_first: Sequence[Ranked], figures: Sequence[Facts | None]) -> Iterator[int]:
    """The places of the first candidates that are best by speed, by latency, by loss and by the number of GPUs; `figures` of each."""

    def figure(place: int, name: str, without: float) -> float:
        value = (figures[place] or {}).get(name)
        return float(value) if isinstance(value, int | float) else without

    def loss(place: int) -> float:
        value = best_first[place].candidate.quality.value
        return inf if value is None else value

    places = range(len(best_first))
    if places:
        yield max(places, key=lambda place: figure(place, "speed.output_tokens_per_second", 0.0))
        yield min(places, key=lambda place: figure(place, "speed.tpot_ms", inf))
        yield min(places, key=loss)
        yield min(places, key=lambda place: best_first[place].candidate.gpus)

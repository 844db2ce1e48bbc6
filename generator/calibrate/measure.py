"""Which constant would make a prediction what was logged: one threshold per term, solved on the memory model itself.

Floor 7, pure. The model's terms do not fall when one of their thresholds grows, so a bisection finds it; no formula is
repeated here. A term that none of its thresholds can explain stays as it is."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from generator.calibrate.compare import Comparison, fixed, left
from generator.engines import ENGINES
from generator.quantity import gib
from generator.rulebook.book import RuleBook

_STEPS = 80
_CLOSE = 0.004
"""GiB: logs print two decimals."""


class Measured(NamedTuple):
    """A threshold as the log has it, and as it was."""

    threshold: str
    value: float
    was: float
    unit: str
    term: str
    label: str


def measure(found: Comparison, book: RuleBook) -> tuple[Measured, ...]:
    """The thresholds that the terms of a log give, for those that are off by more than the log's own rounding.

    What a cache lacks that is a remainder is put down to the first term that the log does not state, since it must be in one of them."""

    def term_of(term: str, name: str, value: float) -> float:
        return gib(getattr(fixed(found, book, {name: value}), term))

    measured, lines = [], {line.term: line for line in found.lines}
    for line in found.lines:
        if line.logged is not None and abs(line.difference or 0.0) > 2 * _CLOSE and line.unit == "GiB":
            term, weights = ("runtime", lines["weights"].predicted) if line.term == "consumed" else (line.term, 0.0)
            measured += _first(found, book, term, line.label, partial(term_of, term), line.logged - weights)
    known = {*found.logged.figures, *(("runtime",) if "consumed" in lines else ())}
    if found.pool and found.unexplained and not ENGINES[found.candidate.engine].cache.by_layer and "gpu_memory_utilization" not in found.assumed:
        wanted = found.unexplained - left(found, book, {})
        for term in (term for term in ("runtime", "activations") if term not in known):
            label = f"{found.pool.label}, all of it put down to {lines[term].label}"
            if ones := _first(found, book, term, label, lambda name, value: -left(found, book, {name: value}), wanted):
                return (*measured, *ones)
    return tuple(measured)


def _first(found: Comparison, book: RuleBook, term: str, label: str, told: Callable[[str, float], float], wanted: float) -> list[Measured]:
    """The first threshold of a term that explains what was logged, if any does: one that is no size is not stretched without end."""
    for name in ENGINES[found.logged.engine].adjustable.get(term, ()):
        entry = book.threshold(name, found.candidate.engine_version)
        was, unit = float(entry["value"]), str(entry["unit"])
        high = max(1.0, 64 * was) if unit in ("GiB", "MiB") else book.number("calibrate.most_times") * was
        value = _solve(partial(told, name), high, wanted)
        if value is not None:
            return [Measured(name, value, was, unit, term, label)]
    return []


def _solve(told: Callable[[float], float], high: float, wanted: float) -> float | None:
    """The value with which the model says what was logged; None if there is none from 0 to `high`."""
    low = 0.0
    if told(low) > wanted + _CLOSE or told(high) < wanted - _CLOSE or told(high) - told(low) < _CLOSE:
        return None
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if told(middle) < wanted:
            low = middle
        else:
            high = middle
    return float(f"{high:.4g}") if abs(told(high) - wanted) <= _CLOSE else None

"""Which constant would make a prediction what was logged: one threshold per term, solved on the memory model itself.

Floor 7, pure. The model's terms do not fall when one of their thresholds grows, so a bisection finds it; no formula is
repeated here. A term that none of its thresholds can explain stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from generator.calibrate.compare import Comparison
from generator.decide.context import Numbers
from generator.engines import ENGINES
from generator.facts.gpu import Gpu
from generator.quantity import GIB
from generator.rulebook.book import RuleBook
from generator.sizing.footprint import Layout, Load

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
    """The thresholds that the terms of a log give, for those that are off by more than the log's own rounding."""
    measured = []
    for line in found.lines:
        names = ENGINES[found.logged.engine].adjustable.get(line.term, ())
        if line.logged is None or line.difference is None or abs(line.difference) <= 2 * _CLOSE:
            continue
        for name in names:
            value = _solve(found, book, name, line.term, line.logged)
            if value is not None:
                entry = book.threshold(name, found.candidate.engine_version)
                measured.append(Measured(name, value, float(entry["value"]), str(entry["unit"]), line.term, line.label))
                break
    return tuple(measured)


def _solve(found: Comparison, book: RuleBook, name: str, term: str, wanted: float) -> float | None:
    """The value of a threshold with which the model says what was logged; None if there is none that is not negative."""
    told = _model(found, book, name, term)
    low, high = 0.0, max(1.0, 64 * book.number(name, found.candidate.engine_version))
    if told(low) > wanted + _CLOSE or told(high) < wanted - _CLOSE or told(high) - told(low) < _CLOSE:
        return None
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if told(middle) < wanted:
            low = middle
        else:
            high = middle
    return float(f"{high:.4g}") if abs(told(high) - wanted) <= _CLOSE else None


def _model(found: Comparison, book: RuleBook, name: str, term: str) -> Callable[[float], float]:
    """The term in GiB as a function of one threshold, everything else as it was sized."""
    candidate, context = found.candidate, found.outcome.context
    gpu: Gpu = context.gpu
    numbers = Numbers(book, candidate.engine_version)
    layout = Layout(candidate.tensor_parallel, candidate.pipeline_parallel, replicas=candidate.replicas)
    eager = bool(found.logged.settings.get("enforce_eager", False))
    load = Load(candidate.max_model_len, candidate.max_num_seqs, candidate.max_num_batched_tokens, 16.0, eager)
    weights = candidate.memory.weights if candidate.memory else 0

    def told(value: float) -> float:
        fixed = ENGINES[candidate.engine].memory.fixed(
            context.model.architecture, layout, load, gpu.device, weights, lambda asked: value if asked == name else numbers(asked)
        )
        return float(getattr(fixed, term)) / GIB

    return told

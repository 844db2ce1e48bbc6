"""Which constant would make a prediction what was logged: one threshold per term, solved on the memory model itself.

Floor 7, pure. The model's terms do not fall when one of their thresholds grows, so a bisection finds it; no formula is
repeated here. A term that none of its thresholds can explain stays as it is. What was measured becomes
a rule set of the user's own: `extends: default`, thresholds, and a source that names the log."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

from generator.calibrate.compare import Comparison, fixed, left
from generator.engines import ENGINES
from generator.quantity import gib, version_key
from generator.render.yaml_text import block
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


def overlay(book: RuleBook, base: str, version: str | None, measured: Sequence[Measured], logs: Sequence[tuple[str, str]]) -> dict[str, str]:
    """The files of the overlay. `logs` are names and dates of the logs; the value holds from `version` to the next era."""
    date = max((day for _, day in logs), default="2000-01-01")
    source = "measured-" + (f"{version_key(version)[0]}-{version_key(version)[1]}" if version else "start")
    thresholds = {one.threshold: _threshold(book, one, version, source, date) for one in measured}
    sources = {
        source: {
            "title": f"Start-up log, measured by gen-deploy calibrate ({', '.join(log for log, _ in logs)})",
            "where": ", ".join(f"{log} of {day}" for log, day in logs),
            "read": date,
        }
    }
    numbers = "Numbers measured from start-up logs; all others are as in the rule set that this one extends."
    return files(base, "Constants measured from start-up logs", sources, "thresholds", thresholds, numbers)


def files(base: str, title: str, sources: Mapping[str, Mapping[str, str]], section: str, entries: object, about_them: str) -> dict[str, str]:
    """A rule set over `base` with entries of a section (`thresholds`, `quality`) of its own, and the comment above them."""
    about = {"extends": base, "ruleset": {"name": "measured", "title": title, "sizing": "detailed"}}
    return {
        "ruleset.yaml": _page("A rule set of your own over another: use it with --rules DIR.", about),
        "sources.yaml": _page("Where the numbers beside this file come from.", {"sources": sources}),
        f"{section}.yaml": _page(about_them, {section: entries}),
    }


def _threshold(book: RuleBook, one: Measured, version: str | None, source: str, date: str) -> dict[str, object]:
    """The whole threshold again, since a later layer replaces it: eras before and after the measured version stay."""
    entry = book.thresholds[one.threshold]
    head: dict[str, object] = {"meaning": entry.get("meaning", one.threshold), "unit": entry["unit"], "checked": date}
    if version is None:
        return {**head, "source": source, "value": one.value}
    rows = [row.copy() for row in entry.get("by_version") or [{"since": "0", "value": entry["value"]}]]
    rows = [row for row in rows if version_key(row["since"]) != version_key(version)]
    for row in rows:
        row.setdefault("source", entry["source"])
    rows.append({"since": version, "value": one.value, "source": source})
    rows.sort(key=lambda row: version_key(row["since"]))
    return {**head, "source": source, "by_version": rows}


def _page(comment: str, data: Mapping[str, object]) -> str:
    return f"# {comment}\n{block(data)}"

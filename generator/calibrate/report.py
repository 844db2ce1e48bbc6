"""A comparison for a reader at a terminal, and as plain data. Floor 7, pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from generator.calibrate.compare import Comparison, Line
from generator.calibrate.measure import Measured
from generator.engines import ENGINES
from generator.errors import printable


def text(name: str, found: Comparison, measured: Sequence[Measured]) -> str:
    """The table of one log, what is off, and the constants that would be measured from it."""
    return "\n".join(printable(line) for line in _lines(name, found, measured)) + "\n"


def _lines(name: str, found: Comparison, measured: Sequence[Measured]) -> Iterator[str]:
    logged, candidate = found.logged, found.candidate
    yield f"{name}: {logged.engine} {logged.version or '(no version logged)'}, sized as {candidate.id} with {_settings(found)}"
    for note in (*found.differing, *logged.notes):
        yield f"  note: {note}"
    yield f"  {'term':<18}{'predicted':>12}{'logged':>12}{'difference':>12}{'%':>9}  line"
    for line in found.lines:
        yield f"  {line.label:<18}{_number(line, line.predicted):>12}" + (
            f"{_number(line, line.logged):>12}{_number(line, line.difference, '+'):>12}{line.percent or 0.0:>+9.1f}  {line.at}"
            if line.logged is not None
            else f"{'-':>12}"
        )
    if missing := [line.label for line in found.lines if line.logged is None and line.predicted]:
        yield f"  not in the log: {', '.join(missing)}"
    if found.assumed:
        yield f"  in neither the log nor the spec, so as planned: {', '.join(found.assumed)}"
    if found.off is None and found.pool is None:
        yield "  no term is off by more than the tolerance"
    for line in filter(None, (found.off, found.pool)):
        way = "too much" if (line.difference or 0) > 0 else "too little"
        yield f"  off: {line.label}, {_number(line, abs(line.difference or 0))} {line.unit} {way} predicted{_rest(found) if line is found.pool else ''}"
    for one in measured:
        yield f"  measured: {one.threshold} = {one.value:.6g} {one.unit} (was {one.was:.6g}), from {one.label}"


def _rest(found: Comparison) -> str:
    """How much of a cache that is off no term of the log explains, and where it must be."""
    if not found.unexplained or ENGINES[found.candidate.engine].cache.by_layer:
        return ""
    split = ("weights", "runtime") if "consumed" in found.logged.figures else ()
    hidden = [line.label for line in found.lines if line.logged is None and not line.term.startswith("kv") and line.term not in split]
    where = f"; the rest is in what it does not state: {', '.join(hidden)}" if hidden else ", and it states every term"
    return f": the terms of the log leave {abs(found.unexplained):.2f} GiB of that unexplained{where}"


def _settings(found: Comparison) -> str:
    c = found.candidate
    words = f"context {c.max_model_len}, {c.max_num_seqs} sequences, {c.max_num_batched_tokens} tokens a step"
    return words + (f", fraction {c.gpu_memory_utilization:g}" if c.gpu_memory_utilization not in (None, 1.0) else "")


def _number(line: Line, value: float | None, sign: str = "") -> str:
    if value is None:
        return "-"
    return f"{value:{sign},.0f}" if line.unit == "tokens" else f"{value:{sign}.2f}"


def data(name: str, found: Comparison, measured: Sequence[Measured]) -> dict[str, object]:
    """The same as plain data."""
    return {
        "log": name,
        "engine": found.logged.engine,
        "engine_version": found.logged.version,
        "candidate": found.candidate.id,
        "settings": dict(sorted(found.logged.settings.items())),
        "notes": [*found.differing, *found.logged.notes],
        "terms": [
            {
                "term": line.term, "unit": line.unit, "predicted": round(line.predicted, 4),
                "logged": None if line.logged is None else round(line.logged, 4),
                "error_percent": None if line.percent is None else round(line.percent, 2), "line": line.at or None,
            }
            for line in found.lines
        ],
        "off": off.term if (off := found.off or found.pool) else None,
        "pool": {"off": found.pool.term, "unexplained_gib": round(found.unexplained, 4)} if found.pool else None,
        "assumed": list(found.assumed),
        "measured": [{"threshold": m.threshold, "value": m.value, "was": m.was, "unit": m.unit, "term": m.term} for m in measured],
    }  # fmt: skip

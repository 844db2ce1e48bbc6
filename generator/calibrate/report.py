"""A comparison for a reader at a terminal, and as plain data. Floor 7, pure; the wording is in `templates/calibrate/`."""

from __future__ import annotations

from collections.abc import Sequence

from generator.calibrate.compare import Comparison
from generator.calibrate.measure import Measured
from generator.engines import ENGINES
from generator.errors import printable
from generator.render.templates import render


def text(name: str, found: Comparison, measured: Sequence[Measured]) -> str:
    """The table of one log, what is off, and the constants that would be measured from it."""
    logged, candidate = found.logged, found.candidate
    unstated = [line for line in found.lines if line.logged is None]
    summed = ("weights", "runtime") if "consumed" in logged.figures else ()  # the log states their sum
    worst, pool = (line and {**line._asdict(), "difference": line.difference} for line in (found.off, found.pool))
    return printable(render(
        "calibrate/log.j2", name=name, engine=logged.engine, version=logged.version, fraction=candidate.gpu_memory_utilization or 1.0,
        candidate={key: getattr(candidate, key) for key in ("id", "max_model_len", "max_num_seqs", "max_num_batched_tokens")},
        notes=[*found.differing, *logged.notes], assumed=found.assumed, worst=worst, pool=pool,
        lines=[{**line._asdict(), "difference": line.difference, "percent": line.percent} for line in found.lines],
        missing=[line.label for line in unstated if line.predicted],
        hidden=[line.label for line in unstated if not line.term.startswith("kv") and line.term not in summed],
        unexplained=0.0 if ENGINES[candidate.engine].cache.by_layer else found.unexplained, measured=[one._asdict() for one in measured],
    ))  # fmt: skip


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

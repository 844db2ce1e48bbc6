"""A comparison for a reader at a terminal, and as plain data. Floor 7, pure; the wording is in `templates/calibrate/`."""

from __future__ import annotations

from collections.abc import Sequence

from generator.calibrate.compare import PINNED, Comparison
from generator.calibrate.measure import Measured
from generator.engines import ENGINES
from generator.errors import Problem, UsageError, printable
from generator.render.templates import render


def text(name: str, found: Comparison, measured: Sequence[Measured]) -> str:
    """The table of one log, what is off, and the constants that would be measured from it."""
    summed = ("weights", "runtime") if "consumed" in found.logged.figures else ()  # the log states their sum
    hidden = [line.label for line in found.lines if line.logged is None and not line.term.startswith("kv") and line.term not in summed]
    unexplained = 0.0 if ENGINES[found.candidate.engine].cache.by_layer else found.unexplained
    return printable(render("calibrate/log.j2", name=name, found=found, hidden=hidden, unexplained=unexplained, measured=measured))


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


def row(found: Comparison) -> dict[str, object]:
    """The start as a row of truth data: what was started and what was logged, without names or paths.

    Raises `UsageError` for a model or a GPU that the catalogue does not list: its name may be private."""
    candidate, context = found.candidate, found.outcome.context
    if context.model.listed is None or not context.gpu.listed:
        raise UsageError(Problem("not-shared", "--share names the model and the GPU, and the catalogue does not list both: a name may be private"))
    own, figures = context.spec.model, found.logged.figures
    capacity = figures["capacity"].value if "capacity" in figures else context.gpu.capacity_gib
    pins = {name: value for name in ("engine", "engine_version", *PINNED) if (value := context.spec.pin.get(name)) is not None}
    hardware = {"gpu": context.gpu.name, "gpus_per_node": candidate.gpus, "memory_gib": round(capacity, 4)}
    unstated = [line.term for line in found.lines if line.logged is None and line.predicted]
    words = (context.model.listed.rpartition("/")[2], candidate.method, f"{candidate.gpus}x", context.gpu.name, candidate.engine, candidate.engine_version)
    return {
        "id": "-".join(words).lower(),
        "spec": {"model": context.model.listed, "hardware": hardware, "pin": {**pins, "quantization": candidate.method}},
        "logged": {term: round(figure.value, 4) for term, figure in figures.items()},
        "missing": [*found.assumed, *unstated, *(("the checkpoint",) if own.checkpoints or own.gguf or own.config or own.path else ())],
    }

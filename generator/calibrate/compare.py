"""Predicted beside logged, term by term: the plan of the spec is made for the settings that the log states.

Floor 7, pure but for the files that the spec names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from generator.decide.decision import Outcome, decide
from generator.engines import ENGINES
from generator.engines.start_log import Logged
from generator.errors import Problem, UsageError
from generator.plan import Candidate
from generator.quantity import gib
from generator.rulebook.book import RuleBook
from generator.spec.deployment import DeploymentSpec

TERMS = (
    ("weights", "weights", "GiB"),
    ("activations", "activations", "GiB"),
    ("cuda_graphs", "CUDA graphs", "GiB"),
    ("runtime", "run-time buffers", "GiB"),
    ("kv_cache", "KV cache", "GiB"),
    ("kv_tokens", "KV tokens", "tokens"),
    ("capacity", "capacity", "GiB"),
)

PINNED = (
    "max_model_len", "max_num_seqs", "max_num_batched_tokens", "gpu_memory_utilization",
    "tensor_parallel", "pipeline_parallel", "enforce_eager", "kv_cache_dtype",
)  # fmt: skip


class Line(NamedTuple):
    """One term: what was predicted and what was logged (None: the log does not say), on which line of the log."""

    term: str
    label: str
    unit: str
    predicted: float
    logged: float | None
    at: int

    @property
    def difference(self) -> float | None:
        """Predicted less logged."""
        return None if self.logged is None else self.predicted - self.logged

    @property
    def percent(self) -> float | None:
        """The same in % of what was logged."""
        return None if not self.logged else 100 * (self.predicted - self.logged) / self.logged


@dataclass(frozen=True, slots=True)
class Comparison:
    """A log against a spec: the candidate that was sized for it, the terms, and what differed in the settings."""

    logged: Logged
    outcome: Outcome
    candidate: Candidate
    lines: tuple[Line, ...]
    differing: tuple[str, ...]
    off: Line | None


def compare(logged: Logged, spec: DeploymentSpec, book: RuleBook) -> Comparison:
    """Size the spec for the settings of the log, and put the terms side by side.

    Raises `UsageError` where the spec pins another engine than the log's, and `InputError` for a spec that is wrong.
    """
    pinned = spec.pin.get("engine")
    if pinned not in (None, logged.engine):
        raise UsageError(Problem("other-engine", f"the log is of {logged.engine}, the spec pins {pinned}"))
    planned = decide(_with(spec, {"engine": logged.engine}), book)
    settings = {key: logged.settings[key] for key in PINNED if key in logged.settings}
    if ENGINES[logged.engine].cache.by_layer:
        settings.pop("tensor_parallel", None)  # it splits no layer
    if logged.version:
        settings["engine_version"] = logged.version
    outcome = decide(_with(spec, {"engine": logged.engine, **settings}), book)
    candidate = sized(outcome)
    if candidate is None:
        raise UsageError(Problem("not-sized", f"the spec cannot be sized for {logged.engine} as the log has it"))
    differing = _differing(sized(planned), settings)
    lines = tuple(_lines(candidate, logged))
    return Comparison(logged, outcome, candidate, lines, differing, worst(lines, book))


def _with(spec: DeploymentSpec, pins: Mapping[str, object]) -> DeploymentSpec:
    """The spec with the log's settings as pins; a context that the profile would not fill is no reason to refuse."""
    workload = dict(spec.workload)
    length = pins.get("max_model_len")
    if length is not None:
        workload["max_context"] = length
    return replace(spec, pin={**spec.pin, **pins}, workload=workload)


def sized(outcome: Outcome) -> Candidate | None:
    """The chosen candidate, or the first rejected one that was sized: an estimate that was refused is one."""
    if outcome.plan.choice is not None:
        return outcome.plan.choice
    return next((r.candidate for r in outcome.plan.rejected if r.candidate.memory is not None), None)


def _differing(planned: Candidate | None, settings: Mapping[str, object]) -> tuple[str, ...]:
    if planned is None:
        return ()
    ours = {name: getattr(planned, name, None) for name in settings}
    return tuple(
        f"{name}: the log has {settings[name]}, the plan {ours[name]}" for name in settings if ours[name] not in (None, settings[name])
    )


def _lines(candidate: Candidate, logged: Logged) -> list[Line]:
    memory, kv = candidate.memory, candidate.kv_cache
    assert memory is not None and kv is not None  # only sized candidates come here
    told = {name: gib(getattr(memory, name)) for name, _, unit in TERMS if unit == "GiB"}
    told["kv_tokens"] = float(kv.tokens)
    lines = []
    for name, label, unit in TERMS:
        figure = logged.figures.get(name)
        lines.append(Line(name, label, unit, told[name], figure.value if figure else None, figure.line if figure else 0))
    return lines


def worst(lines: tuple[Line, ...], book: RuleBook) -> Line | None:
    """The term that is furthest off in GiB, if any is off by more than both tolerances; the cache follows from the others."""
    least, share = book.number("calibrate.least_gib"), book.number("calibrate.least_percent")
    off = [
        line
        for line in lines
        if line.term in ("weights", "activations", "cuda_graphs", "runtime", "capacity")
        and line.difference is not None
        and abs(line.difference) > least
        and abs(line.percent or 100.0) > share
    ]
    return max(off, key=lambda line: abs(line.difference or 0.0), default=None)

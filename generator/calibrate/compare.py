"""Predicted beside logged, term by term: the plan of the spec is made for the settings that the log states.

Floor 7, pure but for the files that the spec names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from generator.decide.context import numbers_of
from generator.decide.decision import Outcome, decide
from generator.engines import ENGINES, cache_cost
from generator.engines.start_log import Logged
from generator.errors import Problem, UsageError, printable
from generator.plan import Candidate
from generator.quantity import GIB, gib
from generator.record import dataclass
from generator.render.templates import render
from generator.rulebook.book import RuleBook
from generator.sizing.footprint import Device, Fixed, Layout, Load
from generator.spec.deployment import DeploymentSpec

if TYPE_CHECKING:
    from generator.calibrate.measure import Measured  # which imports the comparison

TERMS = (
    ("weights", "weights", "GiB"), ("activations", "activations", "GiB"), ("cuda_graphs", "CUDA graphs", "GiB"),
    ("runtime", "run-time buffers", "GiB"), ("consumed", "weights + run-time", "GiB"), ("kv_cache", "KV cache", "GiB"),
    ("kv_tokens", "KV tokens", "tokens"), ("capacity", "capacity", "GiB"),
)  # fmt: skip

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
    """A log against a spec: the candidate that was sized for it, the terms, and what differed in the settings.

    `off` is the term that is furthest off; `pool` the cache or its tokens, where they are off and the terms that the log states do not
    explain it: with them `unexplained` GiB remain. `assumed` are the settings that the log does not state."""

    logged: Logged
    outcome: Outcome
    candidate: Candidate
    lines: tuple[Line, ...]
    differing: tuple[str, ...]
    off: Line | None
    pool: Line | None = None
    unexplained: float = 0.0
    assumed: tuple[str, ...] = ()


def compare(logged: Logged, spec: DeploymentSpec, book: RuleBook) -> Comparison:
    """Size the spec for the settings of the log, and put the terms side by side.

    Raises `UsageError` where the spec pins another engine than the log's, and `InputError` for a spec that is wrong."""
    pinned = spec.pin.get("engine")
    if pinned in logged.also:
        logged = replace(logged, engine=str(pinned), version=None)
    if pinned not in (None, logged.engine):
        raise UsageError(Problem("other-engine", f"the log is of {logged.engine}, the spec pins {pinned}"))
    planned = decide(_with(spec, {"engine": logged.engine}), book)
    settings = {key: logged.settings[key] for key in PINNED if key in logged.settings}
    if by_layer := ENGINES[logged.engine].cache.by_layer:
        settings.pop("tensor_parallel", None)  # it splits no layer
    if logged.version:
        settings["engine_version"] = logged.version
    outcome = decide(_with(spec, {"engine": logged.engine, **settings}), book)
    candidate = sized(outcome)
    if candidate is None:
        raise UsageError(Problem("not-sized", f"the spec cannot be sized for {logged.engine} as the log has it"))
    told = {name: value for name, value in settings.items() if name != "max_num_seqs" or "slots" not in logged.settings}
    lines = tuple(_lines(candidate, outcome, logged))
    given = {*settings, *spec.pin, "tensor_parallel", "pipeline_parallel", "enforce_eager", *(("gpu_memory_utilization",) if by_layer else ())}
    assumed = tuple(name for name in ("engine_version", *PINNED) if name not in given)
    return _judged(Comparison(logged, outcome, candidate, lines, _differing(sized(planned), told), worst(lines, book), assumed=assumed), book)


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


def _lines(candidate: Candidate, outcome: Outcome, logged: Logged) -> list[Line]:
    memory, kv = candidate.memory, candidate.kv_cache
    assert memory is not None and kv is not None  # only sized candidates come here
    told = {name: gib(getattr(memory, name)) for name, _, unit in TERMS if unit == "GiB" and name != "consumed"}
    told["consumed"], told["kv_tokens"] = told["weights"] + told["runtime"], float(kv.tokens)
    if (slots := logged.settings.get("slots", 1)) > 1:  # they share the cache, but each has its recurrent states
        layout = Layout(candidate.tensor_parallel, candidate.pipeline_parallel)
        told["kv_cache"] += gib((slots - 1) * cache_cost(outcome.context.model.architecture, layout, 16.0, candidate.engine).state_bytes)
    lines = []
    for name, label, unit in TERMS:
        figure = logged.figures.get(name)
        if figure or name != "consumed":
            lines.append(Line(name, label, unit, told[name], figure.value if figure else None, figure.line if figure else 0))
    return lines


def fixed(found: Comparison, book: RuleBook, value: Mapping[str, float], device: Device | None = None) -> Fixed:
    """What the engine's law takes beside weights and cache, as the candidate was sized, with thresholds `value` in place of the rule set's."""
    candidate, context, numbers = found.candidate, found.outcome.context, numbers_of(book, found.candidate.engine_version)
    layout = Layout(candidate.tensor_parallel, candidate.pipeline_parallel, replicas=candidate.replicas)
    eager = bool(found.logged.settings.get("enforce_eager", False))
    load = Load(candidate.max_model_len, candidate.max_num_seqs, candidate.max_num_batched_tokens, 16.0, eager)
    weights = candidate.memory.weights if candidate.memory else 0
    device, law = device or context.gpu.device, ENGINES[candidate.engine].memory
    return law.fixed(context.model.architecture, layout, load, device, weights, lambda name: value[name] if name in value else numbers(name))


def left(found: Comparison, book: RuleBook, value: Mapping[str, float]) -> float:
    """GiB that the engine's law leaves to the cache, with the log's figures in place of the predicted terms."""
    candidate, device = found.candidate, found.outcome.context.gpu.device
    logged = {name: int(figure.value * GIB) for name, figure in found.logged.figures.items()}
    device = device._replace(capacity=logged.get("capacity", device.capacity))
    taken = fixed(found, book, value, device)
    taken = taken._replace(**{name: size for name, size in logged.items() if name in Fixed._fields})
    weights = logged.get("weights", candidate.memory.weights if candidate.memory else 0)
    if "consumed" in logged and "weights" not in logged:
        weights = logged["consumed"] - taken.runtime
    law, fraction, numbers = ENGINES[candidate.engine].memory, candidate.gpu_memory_utilization or 1.0, numbers_of(book, candidate.engine_version)
    return gib(law.budget(device, weights, taken, fraction, numbers) - weights - taken.total)


def _judged(found: Comparison, book: RuleBook) -> Comparison:
    """The comparison with its cache judged: off, if the terms that the log states do not bring it within the tolerances."""
    by_name = {line.term: line for line in found.lines}
    cache, tokens = by_name["kv_cache"], by_name["kv_tokens"]
    share = book.number("calibrate.least_percent")
    if tokens.logged is not None and (cache.logged is None or abs((tokens.percent or 0.0) - (cache.percent or 0.0)) > share):
        return replace(found, pool=tokens) if abs(tokens.percent or 0.0) > share else found
    rest = cache.difference or 0.0
    if cache.logged is not None and not ENGINES[found.candidate.engine].cache.by_layer:  # it is what the others leave
        rest += left(found, book, {}) - left(replace(found, logged=replace(found.logged, figures={})), book, {})
    off = _beyond(cache, book) and _beyond(cache._replace(predicted=(cache.logged or 0.0) + rest), book)
    return replace(found, pool=cache, unexplained=rest) if off else found


def _beyond(line: Line, book: RuleBook) -> bool:
    """Whether it is off by more than both tolerances."""
    least, share = book.number("calibrate.least_gib"), book.number("calibrate.least_percent")
    return line.difference is not None and abs(line.difference) > least and abs(line.percent or 100.0) > share


def worst(lines: tuple[Line, ...], book: RuleBook) -> Line | None:
    """The term that is furthest off in GiB, if any is off by more than both tolerances; the cache follows from the others."""
    off = [line for line in lines if line.term in ("weights", "activations", "cuda_graphs", "runtime", "consumed", "capacity") and _beyond(line, book)]
    return max(off, key=lambda line: abs(line.difference or 0.0), default=None)


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

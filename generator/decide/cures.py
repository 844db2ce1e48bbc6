"""What a user could write into a spec that nothing fits, so that something does: each cure is a decision that was tried.

Floor 5, pure but for the files that the spec names."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from math import ceil
from typing import NamedTuple

from generator.decide.automatic import counts
from generator.decide.context import Context
from generator.errors import InputError
from generator.facts.engine import resolve_engine
from generator.facts.registry import standing
from generator.plan import Candidate, Plan
from generator.quantity import version_key
from generator.rulebook.book import RuleBook
from generator.spec.deployment import DeploymentSpec


class Cure(NamedTuple):
    """What to write into the spec, and what is then chosen."""

    write: str
    choice: Candidate


Attempt = tuple[str, DeploymentSpec]


def cures(context: Context, plan: Plan, decide: Callable[[DeploymentSpec], Plan]) -> Iterator[Cure]:
    """One cure of each kind that helps, the least intrusive first; none where no single change of the spec is enough."""
    for growing, attempts in _kinds(context, plan):
        tries = list(attempts)

        @cache
        def chosen(number: int, tries: Sequence[Attempt] = tries) -> Candidate | None:
            try:
                return decide(tries[number][1]).choice
            except InputError:
                return None

        every = range(len(tries))
        first = bisect_left(every, True, key=lambda number: chosen(number) is not None) if growing else next(filter(chosen, every), len(tries))
        choice = chosen(first) if first < len(tries) else None
        if choice is not None:
            yield Cure(tries[first][0], choice)


def _kinds(context: Context, plan: Plan) -> Iterator[tuple[bool, Iterator[Attempt]]]:
    """The attempts of each kind, the least intrusive first, and whether each helps wherever the one before it does."""
    spec, book = context.spec, context.book
    read = {name for rejection in plan.rejected for reason in rejection.reasons for name in reason.read}
    if "trust_remote_code" in read:
        yield False, iter([("deploy: {trust_remote_code: true}", replace(spec, deploy={**spec.deploy, "trust_remote_code": True}))])
    if read & {"engine.too_old", "engine.dropped"}:
        yield False, _version(context)
    yield False, _objectives(spec, plan)
    if read & {"memory.headroom", "context.beyond_model", "context.beyond_engine", "context.too_short", "load.held_share"}:
        yield False, _context(context)
        yield True, _fewer(context)
        yield False, _without_pin(spec, "max_num_seqs")
    if "memory.headroom" in read:
        yield True, _more_gpus(spec, book)
        yield True, _host_memory(spec, book)
    if "quality.over_limit" in read:
        less = {key: value for key, value in spec.workload.items() if key != "max_quality_loss_percent"}
        yield False, iter([("workload without max_quality_loss_percent", replace(spec, workload=less))])
    for key in spec.pin:
        if key not in ("max_num_seqs", "max_model_len"):
            yield False, _without_pin(spec, key)
    yield False, _checkpoints(spec, book)


def _version(context: Context) -> Iterator[Attempt]:
    """The newest version of the pinned engine that loads the model."""
    spec, book, name = context.spec, context.book, context.pinned("engine")
    versions = book.section("engines")[name]["versions"] if isinstance(name, str) else ()
    for version in sorted(versions, key=version_key, reverse=True):
        if standing(book, resolve_engine(str(name), version, book), context.model) == "loads":
            yield f'pin: {{engine_version: "{version}"}}', replace(spec, pin={**spec.pin, "engine_version": version})
            return


def _objectives(spec: DeploymentSpec, plan: Plan) -> Iterator[Attempt]:
    """The load that keeps the objectives, else the objective that is kept."""
    held = [r.candidate.performance.within_objectives or 0 for r in plan.rejected if r.candidate.performance is not None]
    if max(held, default=0):
        yield _with_workload(spec, "concurrency", max(held))
    for key in ("ttft_ms", "tpot_ms"):
        speeds = [r.candidate.performance.speed for r in plan.rejected if r.candidate.performance is not None]
        found = [speed.ttft_ms if key == "ttft_ms" else speed.tpot_ms for speed in speeds if speed is not None]
        values = [one.value for one in found if one is not None]
        if key in spec.workload and values:
            yield _with_workload(spec, key, _rounded_up(min(values)))


def _rounded_up(value: float) -> int:
    """To two figures."""
    step = 10.0 ** max(0, len(str(int(value))) - 2)
    return int(ceil(value / step) * step)


def _context(context: Context) -> Iterator[Attempt]:
    """The model's own context where more is asked for, then by halves."""
    spec, known = context.spec, context.model.architecture.max_context
    pinned = context.pinned("max_model_len")
    asked = int(pinned or context.workload.max_context)
    tries = {known} if 0 < known < asked else set()
    while asked > context.book.number("cure.least_context"):
        asked //= 2
        tries.add(asked)
    for length in sorted(tries, reverse=True):
        if pinned is None:
            yield _with_workload(spec, "max_context", length)
        else:
            yield f"pin: {{max_model_len: {length}}}", replace(spec, pin={**spec.pin, "max_model_len": length})


def _fewer(context: Context) -> Iterator[Attempt]:
    """A lower load, by halves."""
    load = context.workload.concurrency or 1
    while load > 1:
        load //= 2
        yield _with_workload(context.spec, "concurrency", load)


def _with_workload(spec: DeploymentSpec, key: str, value: int) -> Attempt:
    return f"workload: {{{key}: {value}}}", replace(spec, workload={**spec.workload, key: value})


def _without_pin(spec: DeploymentSpec, key: str) -> Iterator[Attempt]:
    if key in spec.pin:
        yield f"pin without {key}", replace(spec, pin={name: value for name, value in spec.pin.items() if name != key})


def _more_gpus(spec: DeploymentSpec, book: RuleBook) -> Iterator[Attempt]:
    if spec.hardware.gpus or spec.hardware.devices or spec.hardware.mig:
        return
    for count in counts(spec, book):
        if count > spec.hardware.gpus_per_node:
            yield f"hardware: {{gpus_per_node: {count}}}", replace(spec, hardware=replace(spec.hardware, gpus_per_node=count))
    for nodes in (2 * spec.hardware.nodes, 4 * spec.hardware.nodes):
        yield f"hardware: {{nodes: {nodes}}}", replace(spec, hardware=replace(spec.hardware, nodes=nodes))


def _host_memory(spec: DeploymentSpec, book: RuleBook) -> Iterator[Attempt]:
    """RAM of the host, for engines that keep layers or experts in it."""
    most, size = book.number("host.most_memory_gib"), 16
    while size <= most:
        if size > (spec.hardware.host_memory_gib or 0):
            yield f"hardware: {{host_memory_gib: {size}}}", replace(spec, hardware=replace(spec.hardware, host_memory_gib=float(size)))
        size *= 2


def _checkpoints(spec: DeploymentSpec, book: RuleBook) -> Iterator[Attempt]:
    """Weights of a method for which no checkpoint is known: of each family the one with the fewest bits of those that are worth it."""
    least: dict[str, str] = {}
    methods, fewest = book.section("methods"), book.number("cure.least_bits")
    for method, entry in methods.items():
        known, bits = least.get(entry["family"]), entry["weight_bits"]
        prepared = entry.get("checkpoint") == "prepared" and method not in spec.model.checkpoints
        if prepared and bits >= fewest and (known is None or bits < methods[known]["weight_bits"]):
            least[entry["family"]] = method
    for method in sorted(least.values(), key=lambda name: -methods[name]["weight_bits"]):
        model = replace(spec.model, checkpoints={**spec.model.checkpoints, method: "your/checkpoint"})
        yield f"model: {{checkpoints: {{{method}: REPOSITORY}}}}", replace(spec, model=model)

"""What a user could write into a spec that nothing fits, so that something does: each cure is a decision that was tried.

Floor 5, pure but for the files that the spec names."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from math import ceil
from typing import Any, NamedTuple, TypeVar

from generator.decide.automatic import counts
from generator.decide.context import Context
from generator.errors import InputError
from generator.facts.engine import resolve_engine
from generator.facts.registry import standing
from generator.plan import Candidate, Plan
from generator.quantity import version_key
from generator.rulebook.book import RuleBook
from generator.spec.deployment import DeploymentSpec, HardwareRequest


class Cure(NamedTuple):
    """What to write into the spec, and what is then chosen."""

    write: str
    choice: Candidate


Attempt = tuple[str, DeploymentSpec]
Whole = TypeVar("Whole", DeploymentSpec, HardwareRequest)


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
        yield False, iter([("deploy: {trust_remote_code: true}", _with(spec, "deploy", "trust_remote_code", True)[1])])
    if read & {"engine.too_old", "engine.dropped"}:
        yield False, _version(context)
    yield False, _objectives(spec, plan)
    if read & {"memory.headroom", "context.beyond_model", "context.beyond_engine", "context.too_short", "load.held_share"}:
        yield False, _context(context)
        yield True, _fewer(context)
        yield False, _without(spec, "pin", "max_num_seqs")
    if "memory.headroom" in read:
        yield True, _more_gpus(spec, book)
        yield True, _host_memory(spec, book)
    if "quality.over_limit" in read:
        yield False, _without(spec, "workload", "max_quality_loss_percent")
    for key in spec.pin:
        if key not in ("max_num_seqs", "max_model_len"):
            yield False, _without(spec, "pin", key)
    yield False, _checkpoints(spec, book)


def _version(context: Context) -> Iterator[Attempt]:
    """The newest version of the pinned engine that loads the model."""
    spec, book, name = context.spec, context.book, context.pinned("engine")
    versions = book.section("engines")[name]["versions"] if isinstance(name, str) else ()
    for version in sorted(versions, key=version_key, reverse=True):
        if standing(book, resolve_engine(str(name), version, book), context.model) == "loads":
            yield f'pin: {{engine_version: "{version}"}}', _with(spec, "pin", "engine_version", version)[1]
            return


def _objectives(spec: DeploymentSpec, plan: Plan) -> Iterator[Attempt]:
    """The load that keeps the objectives, else the objective that is kept."""
    estimates = [r.candidate.performance for r in plan.rejected if r.candidate.performance is not None]
    held = [one.within_objectives or 0 for one in estimates]
    if max(held, default=0):
        yield _with(spec, "workload", "concurrency", max(held))
    for key in ("ttft_ms", "tpot_ms"):
        found = [getattr(one.speed, key) for one in estimates if one.speed is not None]
        values = [one.value for one in found if one is not None]
        if key in spec.workload and values:
            yield _with(spec, "workload", key, _rounded_up(min(values)))


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
        yield _with(spec, "workload", "max_context", length) if pinned is None else _with(spec, "pin", "max_model_len", length)


def _fewer(context: Context) -> Iterator[Attempt]:
    """A lower load, by halves."""
    load = context.workload.concurrency or 1
    while load > 1:
        load //= 2
        yield _with(context.spec, "workload", "concurrency", load)


def _with(spec: DeploymentSpec, part: str, key: str, value: object) -> Attempt:
    return f"{part}: {{{key}: {value}}}", _laid(spec, part, {**getattr(spec, part), key: value})


def _without(spec: DeploymentSpec, part: str, key: str) -> Iterator[Attempt]:
    if key in getattr(spec, part):
        yield f"{part} without {key}", _laid(spec, part, {name: value for name, value in getattr(spec, part).items() if name != key})


def _with_hardware(spec: DeploymentSpec, key: str, value: int) -> Attempt:
    return f"hardware: {{{key}: {value}}}", replace(spec, hardware=_laid(spec.hardware, key, value))


def _laid(whole: Whole, key: str, value: Any) -> Whole:
    return replace(whole, **{key: value})


def _more_gpus(spec: DeploymentSpec, book: RuleBook) -> Iterator[Attempt]:
    hardware = spec.hardware
    if not (hardware.gpus or hardware.devices or hardware.mig):
        yield from (_with_hardware(spec, "gpus_per_node", count) for count in counts(spec, book) if count > hardware.gpus_per_node)
        yield from (_with_hardware(spec, "nodes", times * hardware.nodes) for times in (2, 4))


def _host_memory(spec: DeploymentSpec, book: RuleBook) -> Iterator[Attempt]:
    """RAM of the host, for engines that keep layers or experts in it."""
    sizes = (1 << power for power in range(4, int(book.number("host.most_memory_gib")).bit_length()))
    return (_with_hardware(spec, "host_memory_gib", size) for size in sizes if size > (spec.hardware.host_memory_gib or 0))


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

"""What a user could write into a spec that nothing fits, so that something does: each cure is a decision that was tried. Floor 5, pure but
for the files that the spec names."""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from math import ceil
from typing import Any, NamedTuple

from generator.decide.automatic import counts
from generator.decide.context import Context
from generator.decide.decision import works
from generator.errors import InputError
from generator.facts.engine import resolve_engine, standing
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

    def helps(spec: DeploymentSpec) -> bool:
        try:
            return works(spec, context.book)
        except InputError:
            return False

    for growing, attempts in _kinds(context, plan, helps):
        tries = list(attempts)
        if growing:
            first = bisect_left(tries, True, key=lambda attempt: helps(attempt[1]))
        else:
            first = next((number for number, attempt in enumerate(tries) if helps(attempt[1])), len(tries))
        with suppress(InputError):
            choice = decide(tries[first][1]).choice if first < len(tries) else None
            if choice is not None:
                yield Cure(tries[first][0], choice)


def _kinds(context: Context, plan: Plan, helps: Callable[[DeploymentSpec], bool]) -> Iterator[tuple[bool, Iterator[Attempt]]]:
    """The attempts of each kind, the least intrusive first, and whether each helps wherever the one before it does."""
    spec, book = context.spec, context.book
    read = {name for rejection in plan.rejected for reason in rejection.reasons for name in reason.read}
    if "trust_remote_code" in read:
        yield False, iter([_with(spec, "deploy", "trust_remote_code", True)])
    if read & {"engine.too_old", "engine.dropped"}:
        yield False, _version(context)
    yield False, _objectives(spec, plan)
    if read & {"memory.headroom", "context.beyond_model", "context.beyond_engine", "context.too_short", "load.held_share"}:
        unpinned, load = context.pinned("max_model_len") is None, context.workload.concurrency or 1
        fewer = [_with(spec, "workload", "concurrency", load >> halvings) for halvings in range(1, load.bit_length())]
        for growing, tries in ((unpinned, list(_context(context))), (True, fewer)):
            if not growing or (tries and helps(tries[-1][1])):  # else none of them does
                yield growing, iter(tries)
        yield False, _without(spec, "pin", "max_num_seqs")
    if "memory.headroom" in read:
        yield True, _more_gpus(spec, book)
        sizes = (1 << power for power in range(4, int(book.number("host.most_memory_gib")).bit_length()))
        larger = (size for size in sizes if size > (spec.hardware.host_memory_gib or 0))
        yield True, (_with(spec, "hardware", "host_memory_gib", size) for size in larger)
    if "quality.over_limit" in read:
        yield False, _without(spec, "workload", "max_quality_loss_percent")
    for key in spec.pin:
        if key not in ("max_num_seqs", "max_model_len"):
            yield False, _without(spec, "pin", key)
    methods = _methods(spec, book)
    if helps(_with_checkpoints(spec, methods)):  # else none of them does
        yield False, ((f"model: {{checkpoints: {{{method}: REPOSITORY}}}}", _with_checkpoints(spec, [method])) for method in methods)


def _version(context: Context) -> Iterator[Attempt]:
    spec, book, name = context.spec, context.book, context.pinned("engine")
    versions = book.section("engines")[name]["versions"] if isinstance(name, str) else ()
    for version in sorted(versions, key=version_key, reverse=True):
        if standing(book, resolve_engine(str(name), version, book), context.model) == "loads":
            yield _with(spec, "pin", "engine_version", version)
            return


def _objectives(spec: DeploymentSpec, plan: Plan) -> Iterator[Attempt]:
    """The load that keeps the objectives, else the objective that is kept."""
    held = [r.candidate.performance.within_objectives or 0 for r in plan.rejected if r.candidate.performance is not None]
    speeds = [r.candidate.speed for r in plan.rejected if r.candidate.speed is not None]
    if max(held, default=0):
        yield _with(spec, "workload", "concurrency", max(held))
    for key in ("ttft_ms", "tpot_ms"):
        values = [found.value for speed in speeds if (found := getattr(speed, key)) is not None]
        if key in spec.workload and values:
            least = min(values)
            step = 10.0 ** max(0, len(str(int(least))) - 2)
            yield _with(spec, "workload", key, int(ceil(least / step) * step))


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


def _with(spec: DeploymentSpec, part: str, key: str, value: object) -> Attempt:
    section = getattr(spec, part)
    laid: dict[str, Any] = {part: {**section, key: value} if isinstance(section, Mapping) else replace(section, **{key: value})}
    return f"{part}: {{{key}: {json.dumps(value)}}}", replace(spec, **laid)


def _without(spec: DeploymentSpec, part: str, key: str) -> Iterator[Attempt]:
    section = getattr(spec, part)
    if key in section:
        laid: dict[str, Any] = {part: {name: value for name, value in section.items() if name != key}}
        option = key == "engine" and key not in (spec.document.data.get("pin") or {})
        yield "--engine left out" if option else f"{part} without {key}", replace(spec, **laid)


def _more_gpus(spec: DeploymentSpec, book: RuleBook) -> Iterator[Attempt]:
    hardware = spec.hardware
    if not (hardware.gpus or hardware.devices or hardware.mig):
        yield from (_with(spec, "hardware", "gpus_per_node", count) for count in counts(spec, book) if count > hardware.gpus_per_node)
        yield from (_with(spec, "hardware", "nodes", times * hardware.nodes) for times in (2, 4))


def _methods(spec: DeploymentSpec, book: RuleBook) -> list[str]:
    """Methods for which no checkpoint is known: of each family the one with the fewest bits of those that are worth it."""
    least: dict[str, str] = {}
    methods, fewest = book.section("methods"), book.number("cure.least_bits")
    for method, entry in methods.items():
        known, bits = least.get(entry["family"]), entry["weight_bits"]
        prepared = entry.get("checkpoint") == "prepared" and method not in spec.model.checkpoints
        if prepared and bits >= fewest and (known is None or bits < methods[known]["weight_bits"]):
            least[entry["family"]] = method
    return sorted(least.values(), key=lambda name: -methods[name]["weight_bits"])


def _with_checkpoints(spec: DeploymentSpec, methods: Sequence[str]) -> DeploymentSpec:
    return _with(spec, "model", "checkpoints", {**spec.model.checkpoints, **dict.fromkeys(methods, "your/checkpoint")})[1]

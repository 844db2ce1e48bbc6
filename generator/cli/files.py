"""From a decided spec to its files, in memory: shared by the main job and `check`. Deployments of one run on one machine share no port,
and no card unless both say how much of it they have."""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import combinations
from pathlib import Path

from generator.cli.output import say
from generator.decide.decision import Outcome, decide
from generator.errors import InputError, Problem
from generator.facts.engine import resolve_engine
from generator.plan import Candidate
from generator.quantity import grouped, version_key
from generator.render.artifact import Artifact
from generator.render.files import artifacts
from generator.render.launch import OWN, launch_of
from generator.rulebook.book import RuleBook, load
from generator.spec.deployment import DeploymentSpec


def candidates(outcome: Outcome, all_engines: bool) -> list[Candidate]:
    """The candidates to write files for: the choice, or the best one of each viable engine."""
    found = [same[0].candidate for same in grouped(outcome.ranked, lambda one: one.candidate.engine)]
    return found if all_engines else found[:1]


def rendered(outcome: Outcome, book: RuleBook, out: Path, all_engines: bool) -> tuple[Artifact, ...]:
    """The files of a decided spec.

    Raises `InputError` if the planned engine version is not in the catalogue: no files are written for it; and for invalid `extra_args`, `env`
    and served names."""
    spec = outcome.context.spec
    chosen = candidates(outcome, all_engines)
    check_versions(spec, chosen, book)
    if spec.deploy.keys() & {"env", "extra_args", "served_name"}:
        from generator.verify.extra import extra_problems  # imported lazily: only these need the tables of options

        if problems := [p for c in chosen for p in extra_problems(spec, c.engine, c.engine_version, book)]:
            raise InputError(problems)
    if not {*OWN}.issuperset(outcome.plan.spec["deploy"]["targets"]):
        from generator.platforms import refusals  # imported lazily: only where a spec asks for one

        if found := refusals(outcome.plan, chosen, book, spec):
            raise InputError(found)
    return artifacts(outcome.plan, chosen, book, spec_file=Path(spec.document.name).name, back=back_to(spec, out))


def back_to(spec: DeploymentSpec, out: Path) -> str:
    """From the folder of an engine's files to the folder of the spec."""
    engine_folder = os.path.realpath(out / spec.name / "engine")  # best effort for symlink loops; writing refuses them
    return os.path.relpath(os.path.realpath(spec.folder), engine_folder).replace(os.sep, "/")


def check_versions(spec: DeploymentSpec, chosen: list[Candidate], book: RuleBook) -> None:
    """Refuse versions that are neither in the catalogue nor between two that are, naming the nearest ones."""
    for candidate in chosen:
        engine = resolve_engine(candidate.engine, candidate.engine_version, book)
        if not engine.listed and not engine.between:
            known = sorted(engine.facts["versions"], key=version_key)
            after = bisect_right(known, version_key(candidate.engine_version), key=version_key)
            near = known[max(0, after - 1) : after + 1]
            names = f"{candidate.engine} and those between them; near {candidate.engine_version!r}: {', '.join(near)}"
            message = f"files are written for catalogued versions of {names}"
            raise InputError(spec.problem(("pin", "engine_version"), "unknown-engine-version", message))


def decided(spec: DeploymentSpec, book: RuleBook) -> Outcome:
    """Decide a spec for writing. For a rule set that sizes by the rule of thumb, `default` sizes the same candidate, as the files require.

    If `default` rejects it, the outcome has no choice."""
    outcome = decide(spec, book)
    choice = outcome.plan.choice
    if choice is None or outcome.context.book.sizing == "detailed":
        return outcome
    layout = {"tensor_parallel": choice.tensor_parallel, "pipeline_parallel": choice.pipeline_parallel}
    final = decide(replace(spec, pin={**spec.pin, "engine": choice.engine, "quantization": choice.method, **layout}), load("default"))
    if final.plan.choice is None:
        say([Problem("default-rejects", f"{book.name} chose {choice.id}, which the default rule set rejects", spec.document.place())])
    return final


EVERY_HOST = {"0.0.0.0", "::"}
Taken = tuple[DeploymentSpec, str, set[int], set[int]]
"""A deployment with the host and ports that it listens on, and its cards."""


def apart(specs: Sequence[DeploymentSpec], book: RuleBook) -> None:
    """Raise `InputError` for deployments that collide: specs that name one `hardware.machine`, or without it cards (`devices`) of one kind of GPU.

    A spec that cannot be planned is left to its own message."""
    machines: dict[object, list[DeploymentSpec]] = {}
    for spec in specs:
        if spec.hardware.machine or spec.hardware.devices:
            machines.setdefault(spec.hardware.machine or ("", repr(spec.hardware.gpu)), []).append(spec)
    problems = []
    for here in (found for found in machines.values() if len(found) > 1):
        taken = [found for spec in here for found in _taken(spec, book)]
        problems += [problem for one, other in combinations(taken, 2) for problem in _collisions(one, other)]
    if problems:
        raise InputError(problems)


def _taken(spec: DeploymentSpec, book: RuleBook) -> Iterator[Taken]:
    """Nothing for a spec without a plan, or whose platforms all choose cards and ports themselves."""
    with suppress(InputError):
        plan = decided(spec, book).plan
        known, targets = book.section("platforms"), plan.spec["deploy"]["targets"]
        if plan.choice is not None and any(name in OWN or "devices" not in known[name]["refuses"] for name in targets):
            launch = launch_of(plan, plan.choice, book, "")
            inner = range(launch.first_port, launch.first_port + launch.copies) if launch.copies > 1 else ()
            yield spec, launch.host, {launch.port, *inner}, {*(launch.devices or range(launch.gpus if launch.vendor != "cpu" else 0))}


def _collisions(one: Taken, other: Taken) -> Iterator[Problem]:
    (before, host, ports, cards), (spec, other_host, other_ports, other_cards) = one, other
    name = f"{before.name} ({before.document.name}) has"
    if (host == other_host or {host, other_host} & EVERY_HOST) and (both := ports & other_ports):
        message = f"{name} port {min(both)} of this machine too; write another deploy.port, or a hardware.machine in each"
        yield spec.problem(_at(spec, "deploy", "port"), "shared-port", message)
    if (both := cards & other_cards) and None in (before.hardware.share_gib, spec.hardware.share_gib):
        message = f"{name} card {min(both)} of this machine too; name other cards, or say share_gib, or another hardware.machine, in both"
        yield spec.problem(_at(spec, "hardware", "devices"), "shared-card", message)


def _at(spec: DeploymentSpec, *path: str) -> tuple[str, ...]:
    """A key, or the nearest one above it that the spec has."""
    return path if path in spec.document.marks else _at(spec, *path[:-1]) if path else ()

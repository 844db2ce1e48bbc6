"""Deployments of one run on one machine: they share no port, and no card unless both say how much of it they have. Floor 8, pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import combinations

from generator.cli.files import decided
from generator.errors import InputError, Problem
from generator.render.launch import OWN, launch_of
from generator.rulebook.book import RuleBook
from generator.spec.deployment import DeploymentSpec

EVERY_HOST = ("0.0.0.0", "::")


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
    if (host == other_host or {host, other_host} & {*EVERY_HOST}) and (both := ports & other_ports):
        message = f"{name} port {min(both)} of this machine too; write another deploy.port, or a hardware.machine in each"
        yield spec.problem(_at(spec, "deploy", "port"), "shared-port", message)
    if (both := cards & other_cards) and None in (before.hardware.share_gib, spec.hardware.share_gib):
        message = f"{name} card {min(both)} of this machine too; name other cards, or say share_gib, or another hardware.machine, in both"
        yield spec.problem(_at(spec, "hardware", "devices"), "shared-card", message)


def _at(spec: DeploymentSpec, *path: str) -> tuple[str, ...]:
    """A key, or the nearest one above it that the spec has."""
    return path if path in spec.document.marks else _at(spec, *path[:-1]) if path else ()

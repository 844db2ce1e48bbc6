"""`gpus_per_node: auto`: the smallest number of GPUs that meets the spec's objectives.

Floor 5, pure but for the files that a spec names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Protocol, TypeVar

from generator.plan import Plan
from generator.rulebook.book import RuleBook
from generator.spec.deployment import DeploymentSpec


class Decided(Protocol):
    """What a decision comes to."""

    @property
    def plan(self) -> Plan:
        """The plan."""


T = TypeVar("T", bound=Decided)


def smallest(spec: DeploymentSpec, book: RuleBook, decide: Callable[[DeploymentSpec], T]) -> T:
    """The outcome with the fewest GPUs whose choice meets the objectives by the estimate; else the first that has a choice, else the last."""
    first: T | None = None
    last: T | None = None
    for count in counts(spec, book):
        last = decide(replace(spec, hardware=replace(spec.hardware, gpus_per_node=count)))
        if last.plan.choice is None:
            continue
        if meets(last.plan):
            return last
        first = first or last
    assert last is not None  # there is always one count
    return first or last


def counts(spec: DeploymentSpec, book: RuleBook) -> Iterator[int]:
    """Powers of two up to the usual size of a node, from what the pins need on."""
    most = int(book.number("gpus.auto_most")) if "gpus.auto_most" in book.thresholds else 1
    needed = int(spec.pin.get("tensor_parallel") or 1) * int(spec.pin.get("pipeline_parallel") or 1)
    count = 1
    while count < most and count * spec.hardware.nodes < needed:
        count *= 2
    while True:
        yield count
        count *= 2
        if count > most:
            return


def meets(plan: Plan) -> bool:
    """Whether the choice meets `ttft_ms` and `tpot_ms` at the spec's concurrency by the estimate; without objectives it does."""
    return not plan.facts.get("objective.missed")

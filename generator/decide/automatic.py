"""`gpus_per_node: auto`: the smallest number of GPUs that meets the spec's objectives.

Floor 5, pure but for the files that a spec names."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from generator.rulebook.book import RuleBook
from generator.spec.deployment import DeploymentSpec

if TYPE_CHECKING:
    from generator.decide.decision import Outcome


def smallest(spec: DeploymentSpec, book: RuleBook, decide: Callable[[DeploymentSpec], Outcome]) -> Outcome:
    """The outcome with the fewest GPUs whose choice meets the objectives by the estimate; else the first that has a choice, else the last."""
    first: Outcome | None = None
    last: Outcome | None = None
    for count in counts(spec, book):
        last = decide(replace(spec, hardware=replace(spec.hardware, gpus_per_node=count)))
        if last.plan.choice is None:
            continue
        if not last.plan.facts.get("objective.missed"):  # there are none, or the estimate meets them at the spec's concurrency
            return last
        first = first or last
    assert last is not None  # there is always one count
    return first or last


def counts(spec: DeploymentSpec, book: RuleBook) -> Iterator[int]:
    """Powers of two up to the usual size of a node, from what the pins need on."""
    most = int(book.number("gpus.auto_most")) if "gpus.auto_most" in book.thresholds else 1
    needed = int(spec.pin.get("tensor_parallel") or 1) * int(spec.pin.get("pipeline_parallel") or 1)
    powers = [1 << n for n in range(most.bit_length())]
    yield from [count for count in powers if count * spec.hardware.nodes >= needed] or [1 << (most - 1).bit_length()]

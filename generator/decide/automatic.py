"""What a spec leaves to the tool: the smallest number of GPUs that meets the objectives, the best of unequal cards, a draft where it gains.
Floor 5, pure but for the files that a spec names.

Of unequal cards of one node (`hardware.gpus`) each set that makes sense is decided for itself, and the best is kept: the cards of each kind,
on which every engine runs, and the fastest kinds together, down to all cards, over which llama.cpp and Ollama spread the layers by memory.
So the estimate says whether a small card helps."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from math import inf
from typing import TYPE_CHECKING, Any, NamedTuple

from generator.errors import InputError, Problem
from generator.facts.gpu import Gpu, resolve_gpu
from generator.readers.problems import in_order
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


def faster(drafted: Outcome, plain: Callable[[], Outcome]) -> Outcome:
    """Of the decisions with and without a draft the one whose choice makes a token sooner; the spec stays as it was written."""
    choice = drafted.plan.choice
    if choice is not None and choice.speculative is None:
        return drafted
    other = plain()
    speeds = [one.plan.choice and one.plan.choice.performance and one.plan.choice.performance.speed for one in (drafted, other)]
    times = [speed.tpot_ms.value if speed else inf for speed in speeds]
    if choice is not None and times[0] < times[1]:
        return drafted
    return replace(other, plan=replace(other.plan, spec={**other.plan.spec, "serve": drafted.plan.spec["serve"]}))


def best(sets: Iterable[DeploymentSpec], decided: Callable[[DeploymentSpec], Outcome]) -> Outcome:
    """Of several sets of cards the one whose choice the preferences put first; where none works, the first with a reason. Sets that are
    too small for what is pinned come to nothing; raises `InputError` where all are."""
    outcomes: list[Outcome] = []
    errors: list[InputError] = []
    for tried in sets:
        try:
            outcomes.append(decided(tried))
        except InputError as error:
            errors.append(error)
    if not outcomes:
        raise errors[0]
    works = [one for one in outcomes if one.ranked]
    if not works:
        return next((one for one in outcomes if one.plan.rejected), outcomes[0])
    first = works[0].contests.order([one.ranked[0] for one in works]).best_first[0]
    return next(one for one in works if one.ranked[0] is first)


class _Kind(NamedTuple):
    """Cards of one kind: what the spec calls them, their facts, and their numbers."""

    asked: Any
    gpu: Gpu
    numbers: tuple[int, ...]


def each_set(spec: DeploymentSpec, book: RuleBook) -> Iterator[DeploymentSpec]:
    """The spec with each set of its cards, the largest sets first, the fastest cards of a set first. Raises `InputError` for cards that are
    unknown, or of several makers."""
    kinds = sorted(_kinds(spec, book), key=lambda kind: (kind.gpu.bandwidth, kind.gpu.capacity_gib), reverse=True)
    together = [kinds[:count] for count in range(len(kinds), 1, -1)]
    alone = sorted(([kind] for kind in kinds), key=lambda one: -one[0].gpu.capacity_gib * len(one[0].numbers))
    for chosen in (*together, *alone):
        cards = tuple(kind.asked for kind in chosen for _ in kind.numbers)
        devices = tuple(number for kind in chosen for number in kind.numbers)
        yield replace(spec, hardware=replace(spec.hardware, gpu=cards[0], gpus_per_node=len(cards), devices=devices, cards=cards))


def _kinds(spec: DeploymentSpec, book: RuleBook) -> list[_Kind]:
    hardware, found, problems, number = spec.hardware, list[_Kind](), list[Problem](), 0
    for index, group in enumerate(hardware.gpus):
        place = ("hardware", "gpus", index, "gpu")
        numbers = tuple(range(number, number := number + int(group.get("count", 1))))
        if hardware.devices:
            numbers = tuple(hardware.devices[one] for one in numbers)
        try:
            gpu = resolve_gpu(replace(spec, hardware=replace(hardware, gpu=group["gpu"], at=place, cards=(), devices=())), book)
        except InputError as error:
            problems += error.problems
            continue
        same = next((one for one in found if one.gpu == gpu), None)
        if same is not None:
            found[found.index(same)] = same._replace(numbers=same.numbers + numbers)
            continue
        if gpu.vendor in ("cpu", "apple"):
            problems.append(spec.problem(place, "bad-value", f"{gpu.name} is no card that stands beside others"))
        elif found and gpu.vendor != found[0].gpu.vendor:
            makers = f"{found[0].gpu.name} is of {found[0].gpu.vendor}, {gpu.name} of {gpu.vendor}"
            problems.append(spec.problem(place, "bad-value", f"{makers}: one program runs on cards of one maker; plan them apart"))
        found.append(_Kind(group["gpu"], gpu, numbers))
    if problems:
        raise InputError(in_order(problems))
    return found

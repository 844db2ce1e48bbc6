"""`hardware.gpus`: unequal cards of one node. Each set of cards that makes sense is decided for itself, and the best is kept. Floor 5, pure
but for the files that a spec names. The sets are the cards of each kind, on which every engine runs, and the fastest kinds together, down
to all cards, over which llama.cpp and Ollama spread the layers by memory. So the estimate says whether a small card helps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple

from generator.errors import InputError, Problem
from generator.facts.gpu import Gpu, resolve_gpu
from generator.readers.problems import in_order
from generator.rulebook.book import RuleBook
from generator.spec.deployment import DeploymentSpec


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

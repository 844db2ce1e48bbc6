"""The start-up budget: how long a server may take until it answers. Probes, `start_period` and time-outs of all platforms come from it.
Floor 6, pure."""

from __future__ import annotations

from math import ceil
from typing import NamedTuple

from generator.plan import Candidate, Plan
from generator.render.weights import weights_of
from generator.rulebook.book import RuleBook

MB = 1e6  # bytes


class Step(NamedTuple):
    """A part of a start in seconds: `megabytes` at `mb_per_s` (None for what does not depend on the weights)."""

    name: str
    seconds: float
    megabytes: float | None
    mb_per_s: float | None
    source: str | None


class StartUp(NamedTuple):
    """The steps of a start, the margin that multiplies their sum, the whole in seconds, and the bytes of the weights."""

    steps: tuple[Step, ...]
    margin: float
    source: str | None
    seconds: int
    weights: float


def start_up(plan: Plan, candidate: Candidate, book: RuleBook) -> StartUp:
    """The budget of a candidate: download (nothing for files at hand), read, prepare, times a margin.

    Bandwidths are the spec's, else thresholds; each machine of several reads what all of them hold, which is the most that it may be."""
    local, size = weights_of(plan, candidate, "").local, loaded_bytes(candidate)
    steps = [] if local else [_moved("download", candidate.download or size, plan, book)]
    steps.append(_moved("disk", size, plan, book))
    prepare = book.threshold(f"start_up.prepare.{candidate.engine}", candidate.engine_version)
    steps.append(Step("prepare", prepare["value"], None, None, prepare["source"]))
    margin = book.threshold("start_up.margin")
    return StartUp(tuple(steps), margin["value"], margin["source"], ceil(margin["value"] * sum(one.seconds for one in steps)), size)


def loaded_bytes(candidate: Candidate) -> float:
    """Bytes of the files of one copy of the model, with its draft and adapters; about 16 bits a weight where it is quantised at its start."""
    memory, gpus = candidate.memory, candidate.tensor_parallel * candidate.pipeline_parallel * candidate.data_parallel
    if memory is None:
        return float(candidate.download or 0)
    held = memory.loaded * gpus + (candidate.host.bytes if candidate.host is not None else 0)
    return held * max(1.0, 16 / candidate.bits) if candidate.origin == "online" else held


def _moved(name: str, size: float, plan: Plan, book: RuleBook) -> Step:
    given, known = plan.spec["hardware"].get(f"{name}_mb_per_s"), book.threshold(f"start_up.{name}_mb_per_s")
    rate = float(given or known["value"])
    return Step(name, size / MB / rate, size / MB, rate, "spec" if given else known["source"])

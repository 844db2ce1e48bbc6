"""The location of a candidate's weights: a repository, or a path on the host and in a container; and the start-up budget:
how long a server may take until it answers. Probes, `start_period` and time-outs of all platforms come from it. Floor 6, pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import ceil
from posixpath import basename, dirname, normpath
from typing import NamedTuple

from generator.plan import Candidate, Plan
from generator.record import dataclass
from generator.render.words import Beside, Home, Word
from generator.rulebook.book import RuleBook
from generator.spec.deployment import is_path

MOUNTED = "/gen-deploy/model"
"""The mount point of a local model inside a container."""

_SPLIT = re.compile(r"-\d{5}-of-\d{5}\.gguf\Z", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Weights:
    """`name` is a repository or a path as in the spec; `file` is a GGUF file, or the quantization word to find it."""

    name: str
    file: str | None
    local: bool
    back: str

    @property
    def shown(self) -> str:
        """The server's default name for this model."""
        return basename(normpath(self.name)) if self.local else self.name

    @property
    def host(self) -> Word:
        """The path on this machine, for a script in the engine's folder."""
        return host_path(self.name, self.back)

    @property
    def inside(self) -> str:
        """The path inside a container."""
        return f"{MOUNTED}/{self.shown}"

    @property
    def mount(self) -> tuple[str, str]:
        """Source and target of the mount: the file or folder; for a split GGUF, the folder of its parts."""
        if _SPLIT.search(self.name):
            return dirname(self.name) or ".", MOUNTED
        return self.name, self.inside

    @property
    def is_file_name(self) -> bool:
        """Whether `file` is a file of a repository (else a word such as q4_k_m)."""
        return self.file is not None and self.file.lower().endswith(".gguf")


def host_path(path: str, back: str) -> Word:
    """A path of the spec as a word; a relative path is resolved from the script's folder via `back`."""
    if path.startswith("/"):
        return path
    if path.startswith("~/"):
        return Home(path[2:])
    return Beside(normpath(f"{back}/{path}"))


def container_path(path: str, back: str) -> str | Home:
    """A path of the spec as the source of a mount; a relative one, from the engine's folder, begins with `./` or `../`."""
    if path.startswith("/"):
        return path
    if path.startswith("~/"):
        return Home(path[2:])
    relative = normpath(f"{back}/{path}")
    return relative if relative.startswith("../") or relative == ".." else f"./{relative}"


def weights_of(plan: Plan, candidate: Candidate, back: str) -> Weights:
    """The weights of a candidate; `back` leads from an engine's folder to the spec's."""
    model = plan.spec.get("model")
    given = model.get("gguf") if isinstance(model, Mapping) else None
    name, file = candidate.checkpoint, candidate.gguf_file
    if candidate.origin == "made":  # relative to the job's output beside the engine's folder, not to the spec
        return Weights(name, None, True, "..")
    if candidate.origin == "given":
        paths = [p for p in (given, file, name) if isinstance(p, str) and p.lower().endswith(".gguf")]
        if paths:
            return Weights(paths[0], None, True, back)
    return Weights(name, file, is_path(name), back)


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

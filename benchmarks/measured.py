"""Published figures of whole servers, as what one box of GPUs would do with replicas of each: what choices are held against.

A row of `tests/data/throughput/layouts.csv` is one server of `tensor` × `pipeline` GPUs under one load. On a box of B GPUs there is
room for B / n of it, each with its share of the load. Between two measured loads a figure is interpolated in log-log, beyond them
there is none. Where rows of one server and load were measured again, the median counts. Servers with expert parallelism stand
apart from those without it, and count only where no others of as many GPUs were measured.
"""

from __future__ import annotations

import csv
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import NamedTuple

FILE = Path(__file__).resolve().parents[1] / "tests/data/throughput/layouts.csv"
MOST = "max"
"""The load that is as many sequences as the server holds."""


class Server(NamedTuple):
    """What was measured but for its layout and its load."""

    model: str
    gpu: str
    input_tokens: int
    output_tokens: int
    engine: str
    method: str


class Figures(NamedTuple):
    """What one server did under one load: tokens per second, milliseconds; only the former at the most load."""

    output: float
    tpot: float | None
    ttft: float | None

    def times(self, replicas: float) -> Figures:
        """Of that many copies, each under the load of the one."""
        return self._replace(output=self.output * replicas)


class Ways(NamedTuple):
    """How a server is split over GPUs."""

    tensor: int
    pipeline: int

    @property
    def gpus(self) -> int:
        """GPUs of one replica."""
        return self.tensor * self.pipeline


@dataclass
class Curve:
    """The figures of one server in one layout by its load."""

    points: dict[float, Figures] = field(default_factory=dict)
    most: float | None = None

    def at(self, load: float) -> Figures | None:
        """At a load between those that were measured; None beyond them."""
        known = sorted(self.points)
        if not known or load < known[0] * (1 - 1e-9) or load > known[-1] * (1 + 1e-9):
            return None
        above = next(one for one in known if one >= load * (1 - 1e-9))
        below = max(one for one in known if one <= load * (1 + 1e-9))
        if above <= below:
            return self.points[below]
        share = math.log(load / below) / math.log(above / below)
        first, second = self.points[below], self.points[above]
        return Figures(*(math.exp(math.log(a) * (1 - share) + math.log(b) * share) for a, b in zip(first, second, strict=True)))  # type: ignore[arg-type]


Curves = Mapping[Server, Mapping[Ways, Curve]]


def curves(path: Path = FILE) -> Curves:
    """Every server of the file with its layouts."""
    rows: dict[tuple[Server, Ways], dict[bool, dict[str, list[Figures]]]] = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            server = Server(row["model"], row["gpu"], int(row["input_tokens"]), int(row["output_tokens"]), row["engine"], row["method"])
            ways = Ways(int(row["tensor"]), int(row["pipeline"]))
            rows[(server, ways)][int(row["experts"]) > 1][row["concurrency"]].append(_figures(row, server))
    found: dict[Server, dict[Ways, Curve]] = defaultdict(dict)
    for (server, ways), kinds in rows.items():
        curve = found[server][ways] = Curve()
        for load, again in kinds[min(kinds)].items():
            if load == MOST:
                curve.most = median(one.output for one in again)
            else:
                curve.points[float(load)] = Figures(*(median(values) for values in zip(*again, strict=True)))  # type: ignore[type-var]
    return found


def _figures(row: Mapping[str, str], server: Server) -> Figures:
    if row["concurrency"] == MOST:
        return Figures(float(row["tokens_per_second"]), None, None)
    tpot, ttft = float(row["tpot_ms"]), float(row["ttft_ms"])
    request = ttft + (server.output_tokens - 1) * tpot  # of one sequence, in a closed loop
    return Figures(float(row["concurrency"]) * server.output_tokens * 1000.0 / request, tpot, ttft)


def on_box(layouts: Mapping[Ways, Curve], box: int, load: float) -> dict[Ways, Figures]:
    """What a box of GPUs full of replicas does with each layout under a load, where that was measured."""
    found = {}
    for ways, curve in layouts.items():
        if ways.gpus <= box and box % ways.gpus == 0:
            replicas = box // ways.gpus
            figures = curve.at(load / replicas)
            if figures is not None:
                found[ways] = figures.times(replicas)
    return found


def loads(layouts: Iterable[Mapping[Ways, Curve]], box: int) -> Iterator[int]:
    """The loads of a box at which some layout was measured, each once, in order."""
    found = {round(load * (box // ways.gpus)) for one in layouts for ways, curve in one.items() if ways.gpus <= box for load in curve.points}
    yield from sorted(found)

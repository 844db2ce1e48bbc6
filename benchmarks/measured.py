"""Published figures of whole servers, as what one box of GPUs would do with replicas of each: what choices are held against.

    python -m benchmarks.measured FIGURES.csv -o tests/data/throughput/layouts.csv

puts the single figures of a file such as `benchmarks/throughput_accuracy` reads together, and keeps what another layout, method or
engine can be held against. Every script that reads `layouts.csv` reads a file of single figures, too.

A row of `tests/data/throughput/layouts.csv` is one server of `tensor` × `pipeline` GPUs under one load. On a box of B GPUs there is
room for B / n of it, each with its share of the load. Between two measured loads a figure is interpolated in log-log, beyond them
there is none. Where rows of one server and load were measured again, the median counts. Servers with expert parallelism stand
apart from those without it, and count only where no others of as many GPUs were measured.
"""

from __future__ import annotations

import argparse
import csv
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import NamedTuple

from benchmarks.throughput_accuracy.rows import PARALLEL, Case
from benchmarks.throughput_accuracy.rows import cases as figures_of

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
    for row in rows_of(path):
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
                curve.points[float(load)] = Figures(*(median(values) for values in zip(*again, strict=True)))
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


# -- from single figures

COLUMNS = (
    "id", "source", "source_ref", "engine", "version", "model", "method", "gpu", "tensor", "pipeline", "experts", "input_tokens", "output_tokens",
    "concurrency", "tpot_ms", "ttft_ms", "tokens_per_second",
)  # fmt: skip
Row = dict[str, str]


def rows_of(path: Path) -> list[Row]:
    """The rows of such a file, or those that single figures come to."""
    with path.open(encoding="utf-8", newline="") as file:
        read = list(csv.DictReader(file))
    return read if not read or "metric" not in read[0] else list(_together(path, {row["id"]: row for row in read}))


def _together(path: Path, raw: Mapping[str, Row]) -> Iterator[Row]:
    """One row for each server and load; what was published twice, equal to three digits, once."""
    times: dict[tuple[object, ...], dict[str, list[Case]]] = defaultdict(lambda: defaultdict(list))
    for case in figures_of(path):
        row = raw[case.id]
        if case.metric in ("tpot", "ttft") and case.concurrency and case.output_tokens > 1:
            times[(*(row[name] for name in ("engine", "version", "model", "quant", "gpu", "tp", "pp", "isl", "osl", "concurrency")), case.note)][
                case.metric
            ].append(case)
        elif case.metric == "output_throughput" and case.concurrency is None:
            yield _row(case, raw) | {"concurrency": MOST, "tokens_per_second": row["value"]}
    seen: set[tuple[str, ...]] = set()
    for found in times.values():
        for tpot, ttft in zip(found["tpot"], found["ttft"], strict=False):
            one = _row(tpot, raw) | {"tpot_ms": raw[tpot.id]["value"], "ttft_ms": raw[ttft.id]["value"]}
            same = tuple(f"{float(value):.3g}" if name.endswith("_ms") else value for name, value in one.items() if name not in ("id", "source_ref"))
            if same not in seen:
                seen.add(same)
                yield one


def _row(case: Case, raw: Mapping[str, Row]) -> Row:
    parallel = PARALLEL.search(case.note)
    experts = min(case.tensor, int(parallel[3])) if parallel else 1
    known = {**case.__dict__, "experts": max(1, experts)}
    return {name: str(known[name]) if name in known else raw[case.id].get(name, "") for name in COLUMNS}


def comparable(rows: list[Row]) -> list[Row]:
    """The rows that another layout, method or engine can be held against."""
    kinds: dict[tuple[object, ...], set[str]] = defaultdict(set)
    free = {"layout": ("tensor", "pipeline"), "method": ("method",), "engine": ("engine",)}
    same = ("engine", "model", "method", "gpu", "input_tokens", "output_tokens")

    def key(row: Row, kind: str) -> tuple[object, ...]:
        return (kind, row["concurrency"] == MOST, *(row[name] for name in same if name != kind))

    for row in rows:
        for kind, names in free.items():
            kinds[key(row, kind)].add(" ".join(row[name] for name in names))
    return [row for row in rows if any(len(kinds[key(row, kind)]) > 1 for kind in free)]


def main() -> None:
    """Write the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("-o", "--out", type=Path, default=FILE)
    options = parser.parse_args()
    with options.out.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(comparable(rows_of(options.file)))


if __name__ == "__main__":
    main()

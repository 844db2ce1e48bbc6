"""Predicted against logged, term by term, for the starts that people share: rows of tests/data/memory/shared.yaml or of another file.

    python benchmarks/accuracy/shared.py              # a table; --rows for each row
    python benchmarks/accuracy/shared.py FILE.yaml

A row's spec is planned as it stands. Rows with `apart` (a shared card, a draft that no spec can name) are scored on
their own, as are those with a draft; rows with
`holdout` come from sources that were set aside before any error was looked at.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from generator.calibrate.compare import sized
from generator.decide.decision import decide
from generator.errors import GenDeployError, Problem
from generator.quantity import gib
from generator.rulebook.book import load
from generator.spec.deployment import read_spec

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "tests" / "data" / "memory" / "shared.yaml"
MOST = 1000
"""Errors beyond this many % say no more than that."""

TERMS = ("weights", "consumed", "activations", "cuda_graphs", "runtime", "kv_cache", "kv_tokens")

Row = dict[str, Any]


class Figure(NamedTuple):
    """A term of a row: GiB, or tokens, as predicted and as logged."""

    row: Row
    term: str
    predicted: float
    logged: float

    @property
    def percent(self) -> float:
        """The error in % of what was logged."""
        return 100 * (self.predicted - self.logged) / self.logged


def read(path: Path = FILE) -> list[Row]:
    """The rows of a file."""
    rows: list[Row] = yaml.safe_load(path.read_text(encoding="utf-8"))["starts"]
    return rows


def predicted(row: Row, folder: Path) -> dict[str, float]:
    """What the plan of a row's spec says of each term; raises `GenDeployError` for a spec that cannot be sized."""
    pin = row["spec"]["pin"]
    length = pin.get("max_model_len")
    workload = {"input_tokens": 1, "output_tokens": 1, "concurrency": 1, **({"max_context": length} if length else {})}
    path = folder / "start.yaml"
    path.write_text(json.dumps({"version": 1, "name": "start", "workload": workload, **row["spec"]}), encoding="utf-8")
    candidate = sized(decide(read_spec(path), load("default")))
    if candidate is None or candidate.memory is None or candidate.kv_cache is None:
        raise GenDeployError(Problem("not-sized", f"{row['id']}: no candidate is sized"))
    told = {term: gib(getattr(candidate.memory, term)) for term in TERMS if hasattr(candidate.memory, term)}
    told["weights"] += gib(candidate.memory.draft)  # the engine's line has both
    return {**told, "consumed": told["weights"] + told["runtime"], "kv_tokens": float(candidate.kv_cache.tokens)}


def figures(rows: list[Row]) -> Iterator[Figure]:
    """Each logged term of each row that can be sized; a row that cannot is named on standard error."""
    with tempfile.TemporaryDirectory() as folder:
        for row in rows:
            try:
                told = predicted(row, Path(folder))
            except GenDeployError as error:
                print(f"not sized: {row['id']}: {str(error).splitlines()[0][-140:]}", file=sys.stderr)
                continue
            for term in TERMS:
                if logged := row["logged"].get(term):
                    yield Figure(row, term, told[term], logged)


def kind(row: Row) -> str:
    """Where a row counts."""
    return "apart" if "apart" in row else "draft" if "serve" in row["spec"] else "hold-out" if row.get("holdout") else "dev"


def table(found: list[Figure]) -> list[str]:
    """A line for each engine and term: starts, median, 90th percentile and worst error, dev rows beside the hold-out."""
    cells: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    for one in found:
        cells[one.row["spec"]["pin"]["engine"], one.term, kind(one.row)].append(one.percent)
    lines = ["| engine | term | dev | hold-out | draft | apart |", "|---|---|---:|---:|---:|---:|"]
    for engine in sorted({key[0] for key in cells}):
        for term in TERMS:
            told = [summary(cells.get((engine, term, name), [])) for name in ("dev", "hold-out", "draft", "apart")]
            if any(cell != "-" for cell in told):
                lines.append(f"| {engine} | {term} | {' | '.join(told)} |")
    return lines


def summary(errors: list[float]) -> str:
    """Median, 90th percentile and number of errors."""
    if not errors:
        return "-"
    sizes = sorted(map(abs, errors))
    median, high = (f"{size:.1f} %" if size < MOST else f"over {MOST} %" for size in (statistics.median(sizes), sizes[int(0.9 * len(sizes))]))
    return f"{median}, p90 {high} ({len(sizes)})"


def section() -> list[str]:
    """The part of docs/accuracy.md that is of these rows."""
    rows = read()
    found = list(figures(rows))
    pools = [one for one in found if one.term == "kv_cache" and kind(one.row) == "dev"]
    large = sum(1 for one in pools if one.percent > 10)
    return [
        "## Starts that people shared",
        "",
        f"{len(rows)} more starts from public logs, of this year's models and of every engine (`tests/data/memory/shared.yaml`). What was",
        "started is planned as far as the log or its thread says it, and each term is held against what was logged. Rows of every third",
        "new source were set aside before any error was looked at. Rows with a draft model, on a shared card or with a pool that does not",
        "compare are apart; the file says why. No rule was fitted to them. Median and 90th percentile of the size of the error, and how",
        "many figures.",
        "",
        *table(found),
        "",
        f"Of {len(pools)} pools of the dev rows {large} are told more than 10 % too large. What is off most: cards of unified memory (an",
        "engine sees what is free, not what is built in), n-gram tables in the host's memory, checkpoints that keep more in 16 bits than",
        "their method says, and the encoders of multimodal models.",
    ]


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", nargs="?", type=Path, default=FILE)
    parser.add_argument("--rows", action="store_true", help="a line for each figure, too")
    options = parser.parse_args()
    found = list(figures(read(options.file)))
    if options.rows:
        for one in found:
            print(f"{one.row['id']:<44}{kind(one.row):<9}{one.term:<12}{one.predicted:>12.2f}{one.logged:>12.2f}{one.percent:>+9.1f} %")
    print("\n".join(table(found)))
    return 0


if __name__ == "__main__":
    sys.exit(main())

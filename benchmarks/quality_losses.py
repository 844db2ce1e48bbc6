"""Hold the published losses of the rules against evaluations that they were not made from.

    python benchmarks/quality_losses.py [FILE.csv] [--docs docs/quality.md]

A row of FILE (tests/data/quality/losses.csv) is one model by one method: source, date, url, model, billion (parameters), kind (base, dense, moe,
reasoning), method, measure (score or perplexity), tasks, baseline and score. Its loss is 100 × (1 - score / baseline), or the growth of the
perplexity. Every third source is set aside: whoever changes a value in rules/facts/quality.yaml looks at the others only, and at these afterwards.

Printed: per method and class of size the range that the rules say, the rows, their median and range, and how many lie in it; then by kind of model, and by
whether the source is set aside.
"""

from __future__ import annotations

import argparse
import csv
import statistics
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from generator.facts.quality import Quality, quality_of
from generator.rulebook.book import RuleBook, load

FILE = Path(__file__).resolve().parents[1] / "tests" / "data" / "quality" / "losses.csv"
SIZES = ((0, 3, "below 3B"), (3, 30, "3 to 30B"), (30, 10**6, "from 30B"))
SLACK = 0.5
"""Percent by which a row may lie outside the range: two suites differ by as much (quality.level)."""


class Row(NamedTuple):
    """One evaluation: its source, whether that is set aside, and its loss in percent."""

    source: str
    aside: bool
    model: str
    kind: str
    method: str
    measure: str
    size: str
    loss: float
    said: Quality

    @property
    def comparable(self) -> bool:
        """Whether the rules say a loss of this method and size, on the scale of the row."""
        return self.said.value is not None and ("perplexity" in str(self.said.of)) is (self.measure == "perplexity")

    @property
    def within(self) -> bool:
        """Whether the loss lies in the range of the rules."""
        low, high = self.said.low, self.said.high
        return low is not None and high is not None and low - SLACK <= self.loss <= high + SLACK


def rows(path: Path, book: RuleBook) -> list[Row]:
    """The rows of a file, with what the rules say of each."""
    with path.open(encoding="utf-8", newline="") as file:
        given = list(csv.DictReader(file))
    sources = list(dict.fromkeys(row["source"] for row in given))
    found = []
    for row in given:
        billion, base, score = float(row["billion"]), float(row["baseline"]), float(row["score"])
        loss = 100 * (score / base - 1) if row["measure"] == "perplexity" else 100 * (1 - score / base)
        size = next(name for low, high, name in SIZES if low <= billion < high)
        said = quality_of(book, row["method"], "", billion)
        aside = sources.index(row["source"]) % 3 == 2
        found.append(Row(row["source"], aside, row["model"], row["kind"], row["method"], row["measure"], size, round(loss, 2), said))
    return found


def share(found: Iterable[Row]) -> str:
    """`7 of 9`: rows within the range, of those that can be compared."""
    compared = [row for row in found if row.comparable]
    return f"{sum(row.within for row in compared)} of {len(compared)}" if compared else "-"


def report(found: list[Row]) -> str:
    """The page."""
    sources = list(dict.fromkeys((row.source, row.aside) for row in found))
    kept = ", ".join(name for name, aside in sources if not aside)
    aside = ", ".join(name for name, one in sources if one)
    lines = [
        "# Published losses, and evaluations that they were not made from",
        "",
        "<!-- made by benchmarks/quality_losses.py; do not edit -->",
        "",
        f"{len(found)} evaluations from {len(sources)} public sources (`tests/data/quality/losses.csv` has model, size, tasks, address and date of each),",
        "beside the losses that a plan shows (`rules/facts/quality.yaml`). *In range* allows half a percent, by which two suites differ; where the rules say",
        "nothing, or on another scale (perplexity of GGUF), nothing is compared.",
        "",
        "| method | size | measure | the rules, % | rows | median, % | lowest to highest | in range |",
        "|---|---|---|---:|---:|---:|---:|---:|",
    ]
    for method, size, measure in sorted({(row.method, row.size, row.measure) for row in found}):
        same = [row for row in found if (row.method, row.size, row.measure) == (method, size, measure)]
        losses, said = [row.loss for row in same], same[0].said
        told = f"{said.value:g} ({said.low:g} to {said.high:g})" if said.value is not None else "unknown"
        told += "" if same[0].comparable or said.value is None else ", another scale"
        spread = f"{statistics.median(losses):.2f} | {min(losses):.2f} to {max(losses):.2f}"
        lines.append(f"| {method} | {size} | {measure} | {told} | {len(same)} | {spread} | {share(same)} |")
    lines += ["", "| rows | all | in range |", "|---|---:|---:|"]
    groups = {f"models: {kind}": [row for row in found if row.kind == kind] for kind in sorted({row.kind for row in found})}
    groups |= {f"sources: {kept}": [row for row in found if not row.aside], f"set aside: {aside}": [row for row in found if row.aside]}
    lines += [f"| {name} | {len(same)} | {share(same)} |" for name, same in groups.items()]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Print or write the report."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("file", nargs="?", type=Path, default=FILE)
    parser.add_argument("--docs", type=Path)
    given = parser.parse_args()
    text = report(rows(given.file, load()))
    if given.docs:
        given.docs.write_text(text, encoding="utf-8")
    else:
        sys.stdout.write(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())

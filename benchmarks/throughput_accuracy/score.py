"""How far the speed model is from published figures, by class.

    python -m benchmarks.throughput_accuracy.score FILE.csv … [--markdown] [--sources]

FILE has the columns id, source, engine, model, params_b, active_b, quant, kv_dtype, gpu, tp, pp, isl, osl, concurrency, metric, value, note.
Errors are |estimate / measured − 1|; `within` is the share of rows inside the band that a plan would print.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from benchmarks.throughput_accuracy.predict import Prepared, predictions, prepare
from generator.decide.context import numbers_of
from generator.rulebook.book import load
from generator.throughput.estimate import Bands, Calibration, band_class


def metric_of(one: Prepared) -> str:
    """Which band holds for a row: tpot, ttft or throughput."""
    metric = one.case.metric
    if metric in ("tpot", "ttft"):
        return metric
    return "ttft" if metric == "prefill_tps" else "throughput"


def within(one: Prepared, value: float, bands: Bands) -> bool:
    """Whether the measurement lies in the band around the estimate; a prompt's tokens/s in that of its time."""
    running = one.most if one.case.concurrency is None else one.case.concurrency
    found = band_class(one.setting, running)
    around = bands.around
    if one.case.metric == "prefill_tps":
        bounds = around(1.0 / value, found, "ttft")
        return bounds.low <= 1.0 / one.case.value <= bounds.high
    metric = metric_of(one)
    bounds = around(value, found, metric, value * one.other.get(metric, 1.0))
    return bounds.low <= one.case.value <= bounds.high


def table(
    found: Sequence[Prepared], values: Sequence[float], bands: Bands, *, sources: bool = False
) -> list[tuple[str, int, float, float, float, float]]:
    """Class (and source), rows, median and p90 error, median ratio, share within the band."""
    groups: dict[str, list[tuple[float, bool]]] = defaultdict(list)
    for one, value in zip(found, values, strict=True):
        groups[f"{one.case.group}, {one.case.source}" if sources else one.case.group].append((value / one.case.value, within(one, value, bands)))
    rows = []
    for group, pairs in sorted(groups.items()):
        errors = sorted(abs(ratio - 1.0) for ratio, _ in pairs)
        rows.append((
            group, len(pairs), median(errors), errors[int(0.9 * (len(errors) - 1))], median(r for r, _ in pairs), sum(w for _, w in pairs) / len(pairs),
        ))  # fmt: skip
    return rows


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, nargs="+")
    parser.add_argument("--rules", default="default")
    parser.add_argument("--sources", action="store_true", help="each source apart")
    parser.add_argument("--markdown", action="store_true", help="as a table for docs/throughput.md")
    options = parser.parse_args()
    book = load(options.rules)
    found = [one for file in options.file for one in prepare(file, book)]
    values = predictions(found, Calibration(numbers_of(book, "0")))
    rows = table(found, values, Bands(numbers_of(book, "0")), sources=options.sources)
    if options.markdown:
        print("| class | rows | median error | p90 error | estimate / measured | within the band |")
        print("|---|---:|---:|---:|---:|---:|")
    plain = "{:54} n={:4d}  median {:6.1%}  p90 {:6.1%}  ratio {:5.2f}  within {:4.0%}"
    form = "| {} | {} | {:.0%} | {:.0%} | {:.2f} | {:.0%} |" if options.markdown else plain
    for row in rows:
        print(form.format(*row))


if __name__ == "__main__":
    main()

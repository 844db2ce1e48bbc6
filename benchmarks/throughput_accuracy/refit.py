"""Fits the factors of the speed model again, says how far off it is on rows it was not fitted to, and learns the bands.

    python -m benchmarks.throughput_accuracy.refit FILE.csv [--write]

The factors are the thresholds whose source is `speed-fit` or `speed-fit-local`. Each is pulled towards its present value
(a prior), so that a handful of pairs of model and GPU cannot bend it far. Held out in turn: a quarter of the models (by
name), and each source. `--write` puts factors and bands into rules/default/thresholds/throughput.yaml. To add data, add
rows to the file; names that the catalogue does not know go into names.yaml.
"""

from __future__ import annotations

import argparse
import math
import re
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from statistics import median

from benchmarks.throughput_accuracy.predict import Prepared, predictions, prepare
from benchmarks.throughput_accuracy.score import metric_of, table
from generator.decide.context import Numbers
from generator.rulebook import RuleBook, load
from generator.throughput.estimate import LOCAL, Calibration

THRESHOLDS = Path(__file__).resolve().parents[2] / "rules" / "default" / "thresholds" / "throughput.yaml"
FOLDS, SWEEPS, CAP = 4, 10, 1.0
PRIOR, PULL = 0.5, 0.002
"""A factor may move by a ratio of e^0.5 for a penalty of 0.002, about a tenth of a percent of error."""

WEIGHTS = {"TTFT": 0.25, "static": 0.5, "first token": 0.5, "prefill": 0.1}
"""How much a class counts in the fit; 1 where nothing is said."""

AT_MOST = {"speed.prefill": 1.0, "speed.queue": 1.0}
"""Above these a factor would mean something else: a prompt cannot delay others by more than the time it takes."""

Values = dict[str, float]


def weights(found: Sequence[Prepared]) -> list[float]:
    """Each class counts the same (but for WEIGHTS), and in it each pair of model and GPU by the root of its rows."""
    pairs = Counter((p.case.group, p.case.pair, p.case.method) for p in found)
    raw = [1.0 / math.sqrt(pairs[(p.case.group, p.case.pair, p.case.method)]) for p in found]
    totals: dict[str, float] = defaultdict(float)
    for one, weight in zip(found, raw, strict=True):
        totals[one.case.group] += weight
    share = {group: next((w for word, w in WEIGHTS.items() if word in group), 1.0) for group in totals}
    return [weight / totals[p.case.group] * share[p.case.group] for p, weight in zip(found, raw, strict=True)]


def logs(found: Sequence[Prepared], numbers: Callable[[str], float]) -> list[float]:
    """The logarithm of estimate / measured of each row."""
    values = predictions(found, Calibration(numbers))
    return [math.log(value / one.case.value) for one, value in zip(found, values, strict=True)]


def fit(found: Sequence[Prepared], start: Values, fixed: Callable[[str], float]) -> Values:
    """Factors that lower the weighted error: one factor after the other, by steps that shrink."""
    weighted, now = weights(found), dict(start)

    def loss(values: Mapping[str, float]) -> float:
        errors = logs(found, lambda name: values.get(name) or fixed(name))
        pull = sum((math.log(values[name] / start[name]) / PRIOR) ** 2 for name in values)
        return sum(w * min(abs(e), CAP) for w, e in zip(weighted, errors, strict=True)) + PULL * pull

    best, steps = loss(now), dict.fromkeys(now, 0.15)
    for _ in range(SWEEPS):
        for name, step in list(steps.items()):
            for sign in (1.0, -1.0):
                tried = {**now, name: min(now[name] * math.exp(sign * step), AT_MOST.get(name, math.inf))}
                value = loss(tried)
                if value < best - 1e-7:
                    best, now, steps[name] = value, tried, step * 1.3
                    break
            else:
                steps[name] = step / 2.0
        if max(steps.values()) < 0.01:
            break
    return now


def held_out(found: Sequence[Prepared], start: Values, fixed: Callable[[str], float], key: Callable[[Prepared], object]) -> list[tuple[Prepared, float]]:
    """Each row with the logarithm of its error by factors that were fitted without its part (the value of `key`)."""
    result = []
    for part in sorted({str(key(p)) for p in found}):
        rest = [p for p in found if str(key(p)) != part]
        out = [p for p in found if str(key(p)) == part]
        if rest:
            values = fit(rest, start, fixed)
            result += list(zip(out, logs(out, lambda name, v=values: v.get(name) or fixed(name)), strict=True))  # type: ignore[misc]
    return result


Scores = dict[str, tuple[int, float, float, float]]


def report(title: str, pairs: Iterable[tuple[Prepared, float]]) -> Scores:
    """One line for each class: rows, median and p90 error, median of estimate / measured."""
    groups: dict[str, list[float]] = defaultdict(list)
    for one, error in pairs:
        groups[one.case.group].append(error)
    print(f"\n{title}")
    found: Scores = {}
    for group, errors in sorted(groups.items()):
        sizes = sorted(abs(math.exp(e) - 1.0) for e in errors)
        count, middle, ninth, ratio = found[group] = (len(errors), median(sizes), sizes[int(0.9 * (len(sizes) - 1))], math.exp(median(errors)))
        print(f"  {group:34} n={count:4d}  median {middle:6.1%}  p90 {ninth:6.1%}  ratio {ratio:5.2f}")
    return found


def document(path: Path, fitted: Scores, apart: Mapping[str, Scores], inside: Mapping[str, float]) -> None:
    """Put the table of accuracy between its marks in a document."""
    rows = ["| class | rows | fitted: median, p90 | models held out | sources or GPUs held out | within the band |", "|---|---:|---:|---:|---:|---:|"]
    for group, (count, middle, ninth, _) in sorted(fitted.items()):
        cells = []
        for titles in (("models",), ("sources", "GPUs")):
            found = next((apart[t][group] for t in titles if group in apart.get(t, {})), None)
            cells.append(f"{found[1]:.0%}, {found[2]:.0%}" if found else "–")
        rows.append(f"| {group} | {count} | {middle:.0%}, {ninth:.0%} | {cells[0]} | {cells[1]} | {inside[group]:.0%} |")
    text = path.read_text(encoding="utf-8")
    start, end = "<!-- generated: accuracy (benchmarks/throughput_accuracy/refit.py --docs) -->\n", "<!-- end -->"
    before, _, rest = text.partition(start)
    _, _, after = rest.partition(end)
    path.write_text(before + start + "\n" + "\n".join(rows) + "\n\n" + end + after, encoding="utf-8")


LEFT_OUT = 0.08
"""Share of the rows that a band leaves out on each side."""

LEAST = 1.35
"""The least band of a server: the same InferenceX configuration, measured on another day, is off by up to 1.39 in nine of ten cases."""


def bands(sets: Iterable[Sequence[tuple[Prepared, float]]]) -> Values:
    """Bounds that hold in every one of the sets: held out by models, by sources, and fitted."""
    found: Values = {}
    for pairs in sets:
        for name, value in bounds_of(pairs).items():
            found[name] = (min if name.endswith("low") else max)(value, found.get(name, value))
    return found


def bounds_of(pairs: Sequence[tuple[Prepared, float]]) -> Values:
    """Bounds by class and metric, as multiples of the estimate; where only times were measured their inverse bounds the throughput."""
    ratios: dict[tuple[str, str], list[float]] = defaultdict(list)
    for one, error in pairs:
        metric, word, measured = metric_of(one), one.word, math.exp(-error)
        if one.case.metric == "prefill_tps":
            measured = 1.0 / measured
        ratios[(word, metric)].append(measured)
        if metric == "tpot":
            ratios[(word, "throughput")].append(1.0 / measured)
        elif one.case.engine in LOCAL and metric == "throughput":
            ratios[(word, "tpot")].append(1.0 / measured)
    found: Values = {}
    for (word, metric), values in ratios.items():
        values.sort()
        low, high = values[int(LEFT_OUT * (len(values) - 1))], values[-1 - int(LEFT_OUT * (len(values) - 1))]
        least = LEAST if not word.startswith("local") else 1.05
        found[f"speed.band.{word}.{metric}.low"] = min(1.0 / least, low)
        found[f"speed.band.{word}.{metric}.high"] = max(least, high)
    return found


def write(values: Values, path: Path = THRESHOLDS) -> None:
    """Put values into the file of thresholds, line by line."""
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    for index, line in enumerate(lines):
        name = line.strip().split(": {", 1)[0]
        if name in values:
            lines[index] = re.sub(r"(unit: [^,]+, value: )[^,]+,", lambda m, n=name: f"{m.group(1)}{shown(values[n])},", line)  # type: ignore[misc]
    path.write_text("".join(lines), encoding="utf-8")


def shown(value: float) -> str:
    """A number as YAML reads it, to three figures."""
    text = f"{value:.3g}"
    if "e" in text:
        digits, exponent = text.split("e")
        text = f"{digits if '.' in digits else digits + '.0'}e{int(exponent):+d}"
    return text


def starting(book: RuleBook, source: str) -> Values:
    """The present values of the factors of a source; a multiplier of 1 for the engine that the others are measured by stays."""
    return {n: float(t["value"]) for n, t in book.thresholds.items() if t.get("source") == source and n != "speed.engine.vllm"}


def main() -> None:
    """Fit, report, and write if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--write", action="store_true", help="put factors and bands into the thresholds")
    parser.add_argument("--docs", type=Path, help="put the table of accuracy into this document")
    options = parser.parse_args()
    book = load("default")
    fixed = Numbers(book, "0")
    everything = prepare(options.file, book)
    learned: Values = {}
    apart: dict[str, Scores] = {}
    scores: Scores = {}
    sets: list[list[tuple[Prepared, float]]] = []
    for source, local in (("speed-fit", False), ("speed-fit-local", True)):
        found = [p for p in everything if (p.case.engine in LOCAL) is local]
        start = starting(book, source)
        sources: dict[str, set[str]] = defaultdict(set)  # an engine that only one source measured is unknown without it
        for one in found:
            sources[one.case.engine].add(one.case.source)
        keys: list[tuple[str, Callable[[Prepared], object]]] = [("GPUs", lambda p: zlib.crc32(p.case.gpu.encode()) % FOLDS)]
        if not local:
            keys = [("models", lambda p: zlib.crc32(p.case.model.encode()) % FOLDS), ("sources", lambda p: p.case.source)]
        for title, key in keys:
            pairs = held_out(found, start, fixed, key)
            apart[title] = report(f"held out by {title}", pairs)
            sets.append([pair for pair in pairs if title != "sources" or len(sources[pair[0].case.engine]) > 1])
        values = fit(found, start, fixed)
        fitted = list(zip(found, logs(found, lambda name, v=values: v.get(name) or fixed(name)), strict=True))  # type: ignore[misc]
        scores |= report("fitted to all", fitted)
        sets.append(fitted)
        learned |= values
    learned |= bands(sets)
    for name, value in learned.items():
        print(f"{name}: {shown(value)}")
    if options.write:
        write(learned)
    if options.docs:
        estimates = predictions(everything, Calibration(lambda name: learned.get(name) or fixed(name)))
        inside = {row[0]: row[5] for row in table(everything, estimates, load("default"))}
        document(options.docs, scores, apart, inside)


if __name__ == "__main__":
    main()

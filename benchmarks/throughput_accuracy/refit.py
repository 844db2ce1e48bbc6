"""Fits the factors of the speed model again, says how far off it is on rows it was not fitted to, and learns the bands.

    python -m benchmarks.throughput_accuracy.refit FILE.csv … [--write]

The factors are the thresholds whose source is `speed-fit` or `speed-fit-local`. Each starts from its value in priors.yaml
(one that is not there from its present value) and is pulled towards it, so that a handful of pairs of model and GPU cannot
bend it far. Held out in turn: a quarter of the models (by name), a fifth of the GPUs, and each source. `--write` puts factors
and bands into rules/physics/speed.yaml. To add data, add rows to the file; names that the catalogue does not
know go into names.yaml.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import os
import re
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from statistics import median

import yaml

from benchmarks.throughput_accuracy.predict import Prepared, predictions, prepare
from benchmarks.throughput_accuracy.score import metric_of, table
from generator.decide.context import numbers_of
from generator.rulebook.book import RuleBook, load
from generator.throughput.estimate import LOCAL, Bands, Calibration

THRESHOLDS = Path(__file__).resolve().parents[2] / "rules" / "physics" / "speed.yaml"
PRIORS = Path(__file__).parent / "priors.yaml"
FOLDS, SWEEPS, CAP = 4, 10, 1.0
PRIOR, PULL = 0.5, 0.0045
"""A factor that moves by a ratio of e^0.5 must lower the mean error by half a percent. A twenty-fifth of
that, with six more factors, let single models bend them: errors of models held out were half as large again, for no better fit."""

GPUS = {"A100": 0, "L40S": 0, "H100": 1, "H200": 2, "GH200": 2, "B200": 3, "B300": 4, "GB200": 4}
"""GPUs that are held out together."""

WEIGHTS = {"TTFT": 0.25, "static": 0.5, "first token": 0.5, "prefill": 0.1}
"""How much a class counts in the fit; 1 where nothing is said."""

AT_MOST = {"speed.queue": 1.0}
"""Above this it would mean something else: a new prompt cannot wait for more than all prompts of the others."""

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
    pulled = PULL * sum(weighted)

    def loss(values: Mapping[str, float]) -> float:
        errors = logs(found, lambda name: values.get(name) or fixed(name))
        pull = sum((math.log(values[name] / start[name]) / PRIOR) ** 2 for name in values)
        return sum(w * min(abs(e), CAP) for w, e in zip(weighted, errors, strict=True)) + pulled * pull

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
    parts = sorted({str(key(p)) for p in found})

    def without(part: str) -> list[float]:
        values = fit([p for p in found if str(key(p)) != part], start, fixed)
        out = [p for p in found if str(key(p)) == part]
        return logs(out, lambda name: values.get(name) or fixed(name))

    if len(parts) < 2:
        return []
    result = []
    for part, errors in zip(parts, side_by_side(without, parts), strict=True):
        result += list(zip((p for p in found if str(key(p)) == part), errors, strict=True))
    return result


_work: Callable[[str], list[float]]


def _at_work(part: str) -> list[float]:
    return _work(part)


def side_by_side(work: Callable[[str], list[float]], parts: Sequence[str]) -> list[list[float]]:
    """The work on each part, in processes that are copies of this one."""
    global _work
    _work = work
    with multiprocessing.get_context("fork").Pool(min(len(parts), os.cpu_count() or 1)) as pool:
        return pool.map(_at_work, parts, chunksize=1)


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


def document(path: Path, fitted: Scores, apart: Mapping[str, Scores], inside: Mapping[str, float], outside: Mapping[str, float]) -> None:
    """Put the table of accuracy between its marks in a document."""
    rows = [
        "| class | rows | fitted: median, p90 | models held out | GPUs held out | sources held out | within the band | of those held out |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for group, (count, middle, ninth, _) in sorted(fitted.items()):
        cells = []
        for title in ("models", "GPUs", "sources"):
            found = apart.get(title, {}).get(group)
            cells.append(f"{found[1]:.0%}, {found[2]:.0%}" if found else "–")
        middle_cells = " | ".join(cells)
        rows.append(f"| {group} | {count} | {middle:.0%}, {ninth:.0%} | {middle_cells} | {inside[group]:.0%} | {outside[group]:.0%} |")
    text = path.read_text(encoding="utf-8")
    start, end = "<!-- generated: accuracy (benchmarks/throughput_accuracy/refit.py --docs) -->\n", "<!-- end -->"
    before, _, rest = text.partition(start)
    _, _, after = rest.partition(end)
    path.write_text(before + start + "\n" + "\n".join(rows) + "\n\n" + end + after, encoding="utf-8")


LEFT_OUT = 0.07
"""Share of the rows that a band leaves out on each side."""

LEAST = 1.35
"""The least band of a server: the same InferenceX configuration, measured on another day, is off by up to 1.39 in nine of ten cases."""


REPORTED = {"speed.band.sglang.dense.tpot.low": 0.5}
"""Bounds that rest on measurements that are not at hand (source `judgement-speed-burst`)."""


def bands(sets: Iterable[Sequence[tuple[Prepared, float]]]) -> Values:
    """Bounds that hold in every one of the sets: held out by models, by GPUs, by sources, and fitted."""
    found: Values = {}
    for pairs in sets:
        for name, value in bounds_of(pairs).items():
            found[name] = (min if name.endswith("low") else max)(value, found.get(name, value), REPORTED.get(name, value))
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


def kept(sets: Mapping[str, Sequence[tuple[Prepared, float]]], found: Bands) -> dict[str, float]:
    """For each class the least share, over the ways of holding out, of rows that lie within the bands; printed for each way."""
    least: dict[str, float] = {}
    print("\nwithin the band, when held out")
    for title, pairs in sets.items():
        shares = {row[0]: row[5] for row in table([p for p, _ in pairs], [p.case.value * math.exp(e) for p, e in pairs], found)}
        print(f"  by {title}: " + ", ".join(f"{group} {share:.0%}" for group, share in shares.items()))
        for group, share in shares.items():
            least[group] = min(share, least.get(group, share))
    return least


def write(values: Values, path: Path = THRESHOLDS) -> None:
    """Put values into the file of thresholds; the rest of its text stays."""
    text = path.read_text(encoding="utf-8")
    for name, value in values.items():
        entry = rf"(^  {re.escape(name)}:\s+\{{[^}}]*?value:\s)[^,}}]+"
        text = re.sub(entry, lambda m, v=value: f"{m.group(1)}{shown(v)}", text, flags=re.MULTILINE)  # type: ignore[misc]
    path.write_text(text, encoding="utf-8")


def shown(value: float) -> str:
    """A number as YAML reads it, to three figures."""
    text = f"{value:.3g}"
    if "e" in text:
        digits, exponent = text.split("e")
        text = f"{digits if '.' in digits else digits + '.0'}e{int(exponent):+d}"
    return text


def starting(book: RuleBook, source: str) -> Values:
    """Where the factors of a source start; a multiplier of 1 for the engine that the others are measured by stays."""
    priors = yaml.safe_load(PRIORS.read_text(encoding="utf-8"))
    return {n: float(priors.get(n, t["value"])) for n, t in book.thresholds.items() if t.get("source") == source and n != "speed.engine.vllm"}


def gpus_apart(one: Prepared) -> int:
    """Which part of the GPUs a row's GPU belongs to."""
    word = one.case.gpu.split("-")[0]
    return GPUS.get(word, zlib.crc32(one.case.gpu.encode()) % FOLDS)


def main() -> None:
    """Fit, report, and write if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, nargs="+")
    parser.add_argument("--write", action="store_true", help="put factors and bands into the thresholds")
    parser.add_argument("--docs", type=Path, help="put the table of accuracy into this document")
    options = parser.parse_args()
    book = load("default")
    fixed = numbers_of(book, "0")
    everything = [one for file in options.file for one in prepare(file, book)]
    learned: Values = {}
    apart: dict[str, Scores] = {}
    scores: Scores = {}
    sets: dict[str, list[tuple[Prepared, float]]] = defaultdict(list)
    for source, local in (("speed-fit", False), ("speed-fit-local", True)):
        found = [p for p in everything if (p.case.engine in LOCAL) is local]
        start = starting(book, source)
        keys: list[tuple[str, Callable[[Prepared], object]]] = [("GPUs", gpus_apart), ("sources", lambda p: p.case.source)]
        if not local:
            keys.insert(0, ("models", lambda p: zlib.crc32(p.case.model.encode()) % FOLDS))
        for title, key in keys:
            pairs = held_out(found, start, fixed, key)
            apart.setdefault(title, {}).update(report(f"held out by {title}", pairs))
            sets[title] += pairs
        values = fit(found, start, fixed)
        fitted = list(zip(found, logs(found, lambda name, v=values: v.get(name) or fixed(name)), strict=True))  # type: ignore[misc]
        scores |= report("fitted to all", fitted)
        sets["nothing"] += fitted
        learned |= values
    learned |= bands(sets.values())
    banded = Bands(lambda name: learned.get(name) or fixed(name))
    outside = kept({title: pairs for title, pairs in sets.items() if title != "nothing"}, banded)
    for name, value in learned.items():
        print(f"{name}: {shown(value)}")
    if options.write:
        write(learned)
    if options.docs:
        estimates = predictions(everything, Calibration(lambda name: learned.get(name) or fixed(name)))
        inside = {row[0]: row[5] for row in table(everything, estimates, banded)}
        document(options.docs, scores, apart, inside, outside)


if __name__ == "__main__":
    main()

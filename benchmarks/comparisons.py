"""How far the ratio of two estimates lies from the measured ratio: the uncertainty of a comparison, where common errors cancel.

    python benchmarks/comparisons.py [--data FILE] [--rules NAME-OR-DIR] [--held-out FIGURES.csv]

Pairs differ in one thing only: the layout (of one engine and method, on a box full of replicas, under one load), the method, or the
engine (each in the same layout, under one load that both were measured at). The error is |log((a / b estimated) / (a / b measured))|,
printed as a ratio less one. `decides right`: of the pairs whose estimates differ by more than that, the share where the better
estimate was also the better measurement. With `--held-out` the same of single figures (those of `throughput_accuracy`), by factors that were
fitted without the models, the GPUs or the sources of the pair: minutes; `speed.compare.*` is the largest p68 of all these. A pair of
curves counts once however many loads it has: each pair of a load weighs 1 / loads.
"""

from __future__ import annotations

import argparse
import math
import sys
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.estimates import Estimator, estimator
from benchmarks.measured import FILE, Curves, Figures, Server, Ways, curves, loads, on_box
from benchmarks.throughput_accuracy.predict import Prepared, prepare
from benchmarks.throughput_accuracy.refit import FOLDS, gpus_apart, held_out, logs, starting
from benchmarks.throughput_accuracy.rows import PARALLEL, architecture
from generator.decide.context import numbers_of
from generator.rulebook.book import RuleBook, load
from generator.throughput.estimate import LOCAL

BOX = 8
METRICS = ("output", "tpot", "ttft")
SHARES = (0.5, 0.68, 0.8, 0.9)


class Pair(NamedTuple):
    """Two that were measured under one load: the logarithms of their ratio, estimated and measured, and the pair's weight."""

    kind: str
    metric: str
    words: tuple[str, ...]
    estimated: float
    measured: float
    weight: float


def _pairs(kind: str, word: str, both: list[tuple[Figures, Figures, Figures, Figures]]) -> Iterator[Pair]:
    for first, second, guess, other in both:
        for metric in METRICS:
            figures = [getattr(one, metric) for one in (guess, other, first, second)]
            if all(figures):
                a, b, c, d = figures
                yield Pair(kind, metric, (word,), math.log(a / b), math.log(c / d), 1.0 / len(both))


def pairs(known: Curves, estimate: Estimator, book: RuleBook) -> Iterator[Pair]:
    """All pairs of the three kinds."""
    for server, layouts in known.items():
        for a, b in combinations(sorted(layouts), 2):
            both = []
            for concurrency in loads([{a: layouts[a], b: layouts[b]}], BOX):
                figures = on_box({a: layouts[a], b: layouts[b]}, BOX, concurrency)
                guesses = [estimate(server, one, BOX // one.gpus, concurrency) for one in (a, b)]
                if len(figures) == 2 and guesses[0] and guesses[1]:
                    both.append((figures[a], figures[b], guesses[0], guesses[1]))
            yield from _pairs("layout", _word(server, book), both)
    for kind in ("method", "engine"):
        groups: dict[tuple[object, ...], list[Server]] = defaultdict(list)
        for server in known:
            groups[tuple(value for name, value in server._asdict().items() if name != kind)].append(server)
        for group in groups.values():
            for one, two in combinations(group, 2):
                for ways in known[one].keys() & known[two].keys():
                    yield from _pairs(kind, _between(kind, one, two, book), _same(known, one, two, ways, estimate))


def _same(known: Curves, one: Server, two: Server, ways: Ways, estimate: Estimator) -> list[tuple[Figures, Figures, Figures, Figures]]:
    first, second = known[one][ways], known[two][ways]
    both = []
    for concurrency in sorted(first.points.keys() | second.points.keys()):
        figures, guesses = (first.at(concurrency), second.at(concurrency)), (estimate(one, ways, 1, concurrency), estimate(two, ways, 1, concurrency))
        if figures[0] and figures[1] and guesses[0] and guesses[1]:
            both.append((figures[0], figures[1], guesses[0], guesses[1]))
    if first.most and second.most:
        guesses = estimate(one, ways, 1, None), estimate(two, ways, 1, None)
        if guesses[0] and guesses[1]:
            both.append((Figures(first.most, None, None), Figures(second.most, None, None), guesses[0], guesses[1]))
    return both


def _word(server: Server, book: RuleBook) -> str:
    shape = architecture(server.model, book)
    return f"{server.engine} {'MoE' if shape is not None and shape.experts else 'dense'}"


def _between(kind: str, one: Server, two: Server, book: RuleBook) -> str:
    moe = _word(one, book).split()[1]
    return f"{moe} {' and '.join(sorted((getattr(one, kind), getattr(two, kind))))}"


def quantile(found: list[Pair], share: float) -> float:
    """The error that this share of the pairs, by weight, does not exceed."""
    errors = sorted((abs(one.estimated - one.measured), one.weight) for one in found)
    total, so_far = sum(weight for _, weight in errors), 0.0
    for error, weight in errors:
        so_far += weight
        if so_far >= share * total - 1e-9:
            return error
    return errors[-1][0]


def line(title: str, found: list[Pair]) -> str:
    """Pairs, what they weigh, quantiles of the error, and how often a difference beyond the 68 % decides right."""
    cells = "  ".join(f"p{round(share * 100)} {math.expm1(quantile(found, share)):6.1%}" for share in SHARES)
    told = [one for one in found if abs(one.estimated) > quantile(found, 0.68)]
    right = sum(one.weight for one in told if one.estimated * one.measured > 0) / sum(one.weight for one in told) if told else math.nan
    return f"  {title:40} pairs {len(found):5d}, weight {sum(one.weight for one in found):5.0f}  {cells}  decides right {right:4.0%} of {len(told)}"


def held_out_errors(path: Path, book: RuleBook) -> Iterator[tuple[str, list[tuple[Prepared, float]]]]:
    """The logarithms of estimate / measured of servers, by the factors as they are and by those that were fitted without a part."""
    fixed = numbers_of(book, "0")
    found = [one for one in prepare(path, book) if one.case.engine not in LOCAL]
    yield "nothing", list(zip(found, logs(found, fixed), strict=True))
    keys: dict[str, Callable[[Prepared], object]] = {"models": models_apart, "GPUs": gpus_apart, "sources": lambda one: one.case.source}
    for title, key in keys.items():
        yield title, held_out(found, starting(book, "speed-fit"), fixed, key)


def models_apart(one: Prepared) -> int:
    """Which part of the models a row's model belongs to."""
    return zlib.crc32(one.case.model.encode()) % FOLDS


def differing(errors: list[tuple[Prepared, float]], kind: str, metric: str) -> list[Pair]:
    """Pairs of single figures that differ in one thing, with the difference of their errors as if nothing had been measured to differ."""
    groups: dict[tuple[object, ...], list[tuple[object, float]]] = defaultdict(list)
    for one, error in errors:
        case, parallel = one.case, PARALLEL.search(one.case.note)
        if case.metric != metric or not case.concurrency or (parallel and int(parallel[3]) > 1):
            continue
        load = case.concurrency * BOX / (case.tensor * case.pipeline) if kind == "layout" else case.concurrency
        what = {"layout": case.tensor * case.pipeline, "method": case.method, "engine": case.engine}
        same = [value for name, value in what.items() if name != kind]
        groups[(load, case.model, case.gpu, case.input_tokens, case.output_tokens, *same)].append((what[kind], error))
    found: dict[tuple[object, ...], list[float]] = defaultdict(list)
    for key, group in groups.items():
        for (a, first), (b, second) in combinations(group, 2):
            if a != b:
                found[(key[1:], *sorted((str(a), str(b))))].append(first - second)
    return [Pair(kind, metric, (), error, 0.0, 1.0 / len(all_of)) for all_of in found.values() for error in all_of]


def main() -> None:
    """Print the quantiles by kind, metric and class."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=FILE)
    parser.add_argument("--rules", default="default")
    parser.add_argument("--held-out", type=Path, metavar="FIGURES.csv")
    options = parser.parse_args()
    book = load(options.rules)
    if options.held_out:
        for title, errors in held_out_errors(options.held_out, book):
            print(f"\n{title} held out")
            for kind in ("layout", "method", "engine"):
                for metric in ("tpot", "ttft"):
                    mine = differing(errors, kind, metric)
                    cells = "  ".join(f"p{round(share * 100)} {math.expm1(quantile(mine, share)):6.1%}" for share in SHARES) if mine else "no data"
                    print(f"  {kind}, {metric}: pairs {len(mine)}, weight {sum(one.weight for one in mine):.0f}  {cells}", flush=True)
        return
    found = list(pairs(curves(options.data), estimator(book), book))
    for kind in ("layout", "method", "engine"):
        for metric in METRICS:
            mine = [one for one in found if (one.kind, one.metric) == (kind, metric)]
            print(f"\n{kind}, {metric}")
            if not mine:
                print("  no data")
                continue
            print(line("all", mine))
            for words in sorted({one.words for one in mine}):
                print(line(" ".join(words), [one for one in mine if one.words == words]))


if __name__ == "__main__":
    main()

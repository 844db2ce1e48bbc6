"""What choices cost against measurements: how far what is chosen stays behind the best that was measured.

    python benchmarks/regret.py [--data FILE] [--rules NAME-OR-DIR] [--worst N]

A case is a model on a box of eight, two or one GPUs with the lengths and the load of a measurement (`benchmarks/measured.py` says how
servers of fewer GPUs count). Layout: engine and method are pinned; engine: only the method; method: only the engine; in each, what is
not pinned is chosen. Regret is 1 − chosen / best in output tokens per second, for the goal latency 1 − best / chosen in time per
token. A case counts where at least two of what is free were measured at its load and the chosen one is among them; the others are
counted apart. Beside what is chosen stands what the estimates know: `best estimate`, if of all that works the one with the best own
estimate were taken and nothing else; `of the measured`, the same of what was measured, whether or not it can be planned.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import mean, median
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.dominated import decided
from benchmarks.estimates import Estimator, estimator
from benchmarks.measured import FILE, Curves, Figures, Server, Ways, curves, loads, on_box
from benchmarks.throughput_accuracy.rows import NAMES
from generator.decide.decision import Outcome
from generator.decide.performance import Speeds
from generator.errors import fold
from generator.plan import Candidate
from generator.rulebook.book import RuleBook, load, sections_of
from generator.rulebook.rulesets import find, put_together

BOXES, GOALS = (8, 2, 1), ("balanced", "throughput", "latency")
FREE = {"layout": ("engine", "quantization"), "engine": ("quantization",), "method": ("engine",)}
"""What is chosen, and what the spec then pins."""

IGNORED = "no-replicas-of-experts"
"""A row of policy that the choice by its estimate does not heed; a rule set without it is taken as it is."""

BARS = {"layout": (0.01, 0.05, 0.16)}
"""Median, mean and 90th percentile that regret may have on eight GPUs."""

Option = tuple[str, str, Ways]
"""Engine, method, layout of one replica."""


class Case(NamedTuple):
    """One question: what is free, on how many GPUs, under which load; `measured` is what each option does there."""

    free: str
    box: int
    concurrency: int
    server: Server
    measured: Mapping[Option, Figures]


def cases(known: Curves) -> Iterator[Case]:
    """Every question for which at least two of what is free were measured."""
    for free in FREE:
        groups: dict[tuple[object, ...], list[Server]] = defaultdict(list)
        for server in known:
            groups[tuple(value for name, value in server._asdict().items() if name != free)].append(server)
        for servers in groups.values():
            for box in BOXES:
                for concurrency in loads([known[one] for one in servers], box):
                    measured = {
                        (one.engine, one.method, ways): figures
                        for one in servers for ways, figures in on_box(known[one], box, concurrency).items()
                    }  # fmt: skip
                    if len({_word(free, option) for option in measured}) > 1:
                        yield Case(free, box, concurrency, servers[0], measured)


def _word(free: str, option: Option) -> object:
    engine, method, ways = option
    return {"layout": ways, "engine": engine, "method": method}[free]


def spec_of(case: Case, goal: str, book: RuleBook) -> dict[str, Any]:
    """The spec that asks a case's question, with a checkpoint named for each method that was measured."""
    server = case.server
    model = book.index("models")[fold(NAMES["models"].get(server.model, server.model))]
    pin = {"engine": server.engine, "quantization": server.method}
    named = {method: f"my-org/{method}" for method in {method for _, method, _ in case.measured} if method not in ("bf16", "fp16")}
    return {
        "model": {"id": model, "checkpoints": named},
        "hardware": {"gpu": book.index("gpus")[fold(NAMES["gpus"].get(server.gpu, server.gpu))], "gpus_per_node": case.box},
        "workload": {
            "goal": goal, "concurrency": case.concurrency, "input_tokens": server.input_tokens, "output_tokens": server.output_tokens,
            "max_context": server.input_tokens + server.output_tokens,
        },
        "pin": {key: pin[key] for key in FREE[case.free]},
        "deploy": {"trust_remote_code": True},
    }  # fmt: skip


class Result(NamedTuple):
    """What a choice came to: its regret, or why there is none."""

    case: Case
    chosen: Option | None
    regret: float | None
    why: str = ""


def held(case: Case, chosen: Candidate | None, goal: str) -> Result:
    """A choice against the measurements."""
    if chosen is None:
        return Result(case, None, None, "nothing was chosen")
    method = _measured_as(chosen.method, case)
    option = (chosen.engine, method, Ways(chosen.tensor_parallel, chosen.pipeline_parallel))
    if option not in case.measured:
        return Result(case, option, None, "the choice was not measured at its load")
    if option[2].gpus * chosen.replicas != case.box:
        return Result(case, option, None, "the choice leaves GPUs idle")
    return _against(case, option, goal)


def _against(case: Case, option: Option, goal: str) -> Result:
    figures = case.measured[option]
    if goal == "latency":
        return Result(case, option, 1.0 - min(one.tpot or 0.0 for one in case.measured.values()) / (figures.tpot or 1.0))
    return Result(case, option, 1.0 - figures.output / max(one.output for one in case.measured.values()))


def _measured_as(method: str, case: Case) -> str:
    """A method by the name that measurements have for it: of FP8 they do not say which."""
    known = {name for _, name, _ in case.measured}
    return next((name for name in known if method.startswith(name)), method)


def of_measured(case: Case, goal: str, estimate: Estimator) -> Result:
    """Of what was measured, the option with the best own estimate."""
    best, found = 0.0, None
    for option in case.measured:
        engine, method, ways = option
        figures = estimate(case.server._replace(engine=engine, method=method), ways, case.box // ways.gpus, case.concurrency)
        value = 0.0 if figures is None else 1.0 / (figures.tpot or 1.0) if goal == "latency" else figures.output
        if value > best * (1 + 1e-9):
            best, found = value, option
    return Result(case, None, None, "there is no estimate") if found is None else _against(case, found, goal)


def by_estimate(outcome: Outcome | None, goal: str) -> Candidate | None:
    """Of all candidates that work, the one with the best own estimate."""
    if outcome is None or not outcome.ranked:
        return None
    speeds = Speeds(outcome.context)
    best, found = 0.0, None
    for one in outcome.ranked:
        candidate = speeds.estimated(one.candidate)
        speed = candidate.performance.speed if candidate.performance else None
        if speed is None:
            continue
        value = 1.0 / speed.tpot_ms.value if goal == "latency" else speed.output_tokens_per_second.value
        if value > best * (1 + 1e-9):
            best, found = value, candidate
    return found


def without(name: str, row: str) -> RuleBook:
    """A rule set without one of its reject rows."""
    merged = put_together(find(name))
    table = merged["tables"]["reject"]
    rows = [one for one in table["rows"] if one["id"] != row]
    return RuleBook(sections_of({**merged, "tables": {**merged["tables"], "reject": {**table, "rows": rows}}}))


def line(results: list[Result]) -> str:
    """Rows, median, mean and 90th percentile of regret, and how many cases there is none for."""
    values = sorted(one.regret for one in results if one.regret is not None)
    left = Counter(one.why for one in results if one.regret is None)
    aside = "".join(f"; {count}: {why}" for why, count in sorted(left.items()))
    if not values:
        return f"no data{aside}"
    return f"n={len(values):4d}  median {median(values):6.1%}  mean {mean(values):6.1%}  p90 {quantile(values, 0.9):6.1%}{aside}"


def quantile(values: list[float], share: float) -> float:
    """Of sorted values, the least that at least that share of them do not exceed."""
    return values[min(len(values) - 1, max(0, -int(-share * len(values) // 1) - 1))]


def main() -> int:
    """Print the regret of each choice; 3 where a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=FILE)
    parser.add_argument("--rules", default="default")
    parser.add_argument("--worst", type=int, default=0, metavar="N", help="print the N cases of most regret of each kind, too")
    options = parser.parse_args()
    book, free_book = load(options.rules), without(options.rules, IGNORED)
    estimate = estimator(book)
    found, missed = list(cases(curves(options.data))), False
    for free in FREE:
        for box in BOXES:
            asked = [case for case in found if (case.free, case.box) == (free, box)]
            print(f"\n{free} on {box} GPU{'s' if box > 1 else ''}: {f'{len(asked)} cases' if asked else 'no data'}")
            for goal in GOALS if asked else ():
                chosen, best, known = [], [], []
                for case in asked:
                    spec = spec_of(case, goal, book)
                    outcome = decided(spec, book)
                    chosen.append(held(case, outcome.plan.choice if outcome else None, goal))
                    best.append(held(case, by_estimate(decided(spec, free_book), goal), goal))
                    known.append(of_measured(case, goal, estimate))
                print(f"  {goal:10} chosen          {line(chosen)}")
                for engine in sorted({case.server.engine for case in asked}) if free != "engine" else ():
                    print(f"  {'':10}   {engine:13} {line([one for one in chosen if one.case.server.engine == engine])}")
                print(f"  {'':10} best estimate   {line(best)}")
                print(f"  {'':10} of the measured {line(known)}")
                missed = missed or (box == BOXES[0] and misses(free, chosen))
                for one in sorted(chosen, key=lambda result: -(result.regret or 0.0))[: options.worst]:
                    print(f"    {one.regret or 0.0:6.1%}  {' '.join(map(str, one.case.server))} at {one.case.concurrency}: {one.chosen}")
    return 3 if missed else 0


def misses(free: str, results: list[Result]) -> bool:
    """Whether regret is above a bar."""
    values = sorted(one.regret for one in results if one.regret is not None)
    if free not in BARS or not values:
        return False
    reached = (median(values), mean(values), quantile(values, 0.9))
    return any(value > bar for value, bar in zip(reached, BARS[free], strict=True))


if __name__ == "__main__":
    sys.exit(main())

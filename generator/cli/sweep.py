"""`gen-deploy plan --sweep` and `--prices`: a plan's speed over concurrency, and its cost at the user's prices."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import click

from generator.decide.decision import Outcome
from generator.decide.performance import Speeds
from generator.errors import InputError, Problem, UsageError, did_you_mean, fail
from generator.facts.gpu import card_of
from generator.readers.document import read_yaml
from generator.report.speed import Cost, Price, cost_json, cost_line
from generator.rulebook.book import RuleBook
from generator.rulebook.schemas import problems_of
from generator.throughput.shapes import Speed

MOST = 65536

sweep_option = click.option("--sweep", metavar="concurrency=A..B", help="Print the estimated speed of the choice over a range of concurrencies.")
prices_option = click.option(
    "--prices", type=click.Path(path_type=Path), metavar="FILE", help="GPU prices per hour (examples/prices/2026-11.yaml): adds the cost of the GPU-hours."
)


def concurrencies(text: str) -> list[int]:
    """The concurrencies of `concurrency=1..256`: both ends and the powers of two between; or a list, `concurrency=1,8,32`."""
    found = re.fullmatch(r"concurrency=([0-9]{1,6})\.\.([0-9]{1,6})", text)
    if found:
        low, high = int(found[1]), int(found[2])
        if 1 <= low <= high <= MOST:
            return sorted({low, high} | {1 << n for n in range(17) if low < 1 << n < high})
    listed = re.fullmatch(r"concurrency=([0-9]{1,6}(?:,[0-9]{1,6})*)", text)
    if listed:
        values = sorted({int(word) for word in listed[1].split(",")})
        if values[0] >= 1 and values[-1] <= MOST:
            return values
    raise UsageError([Problem("usage", f"--sweep expects concurrency=A..B or A,B,C with 1 <= A <= B <= {MOST}, not {text!r}")])


def prices_of(path: Path, book: RuleBook) -> dict[str, Price]:
    """GPU prices per hour by GPU, from a file of the user."""
    document = read_yaml(path)
    if problems := problems_of(document, "prices"):
        raise InputError(problems)
    data, found = document.data, dict[str, Price]()
    currency, dated, source = str(data["currency"]), str(data["dated"]), str(data.get("source") or path.name)
    for name, price in data["per_gpu_hour"].items():
        card = card_of(book, str(name))
        if card is None:
            near = did_you_mean(str(name), list(book.section("gpus")))
            raise fail("unknown-gpu", f"{name!r} is not a known GPU{near}", document.place(("per_gpu_hour", name), key=True))
        found[card] = Price(per_gpu_hour=float(price), currency=currency, dated=dated, source=source)
    return found


def curve_of(outcome: Outcome, asked: list[int]) -> list[tuple[int, Speed]]:
    """The speed of the choice at each concurrency; none without an estimate."""
    choice = outcome.plan.choice
    speeds = Speeds(outcome.context).curve(choice, asked) if choice else []
    return list(zip(asked, speeds, strict=True)) if speeds else []


def cost_of(outcome: Outcome, prices: Mapping[str, Price] | None) -> Cost | None:
    """The cost per million output tokens of the choice, if the user's file has a price."""
    choice = outcome.plan.choice
    return cost_json(choice.performance, prices.get(outcome.context.gpu.name)) if prices is not None and choice else None


def cost_lines(outcome: Outcome, prices: Mapping[str, Price] | None) -> Iterator[str]:
    """The cost as a line, or the reason why there is none."""
    if prices is not None and outcome.plan.choice is not None:
        cost = cost_of(outcome, prices)
        unknown = f"cost: the price file has no price for {outcome.context.gpu.name}, or the speed is not estimated"
        yield f"  {cost_line(cost) if cost else unknown}"

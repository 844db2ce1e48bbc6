"""`gen-deploy explain`: the decision, row by row: the facts each row read, their sources, and the row's position."""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby
from pathlib import Path
from typing import Any

import click

from generator.cli import options
from generator.cli.output import answer
from generator.decide.decision import decide
from generator.errors import DONE, NOTHING_FITS, Problem, UsageError, did_you_mean, printable
from generator.plan import Candidate, Plan, Reason, Rejection
from generator.quantity import grouped
from generator.render.plan_json import as_json, reason_json
from generator.render.plan_json import as_json as plan_json
from generator.render.plan_md import TERMS, bar
from generator.render.templates import render
from generator.render.weights import start_up
from generator.rulebook.book import RuleBook
from generator.rulebook.table import Row


@click.command("explain")
@click.argument("spec", type=click.Path(path_type=Path), metavar="SPEC", required=False)
@options.words_options
@click.option("--why-not", metavar="ENGINE[/METHOD]", help="Explain why this engine (with this method) was not chosen.")
@options.options(options.book_option, options.engine_option, options.json_option)
def command(spec: Path | None, words: options.Words, why_not: str | None, book: RuleBook, engine: str | None, as_json: bool) -> int:
    """Explain the decision for SPEC, or a model on a GPU (-m MODEL -g GPU), row by row, with sources and file:line."""
    if why_not is not None:
        _check(why_not, book)
    found, errors = options.read_specs([spec] if spec else [], engine, words)
    if errors:
        raise errors[0]
    outcome = decide(found[0], book, thorough=why_not is not None)
    text = explain(outcome.plan, book, why_not, outcome.lost_by).rstrip("\n")
    answer({"plan": plan_json(outcome.plan), "lines": text.split("\n")}, text, as_json)
    return DONE if outcome.plan.choice else NOTHING_FITS


def _check(why_not: str, book: RuleBook) -> None:
    engine, _, method = why_not.partition("/")
    for word, section in ((engine, "engines"), (method, "methods")):
        known = book.section(section)
        if word and word not in known:
            raise UsageError(Problem(f"unknown-{section[:-1]}", f"--why-not: {word!r} is not a known {section[:-1]}{did_you_mean(word, known)}"))


Data = dict[str, Any]


def explain(plan: Plan, book: RuleBook, why_not: str | None = None, lost_by: Callable[[Candidate], Row | None] = lambda _: None) -> str:
    """A decision as text, or the reasons why `ENGINE[/METHOD]` was not chosen.

    `lost_by` gives the criterion by which a candidate that works lost to the choice."""
    page, data = ("why_not", _why_not(plan, why_not, lost_by)) if why_not is not None else ("decision", _decision(plan, book))
    return printable(render(f"explain/{page}.j2", plan=plan, sources=book.section("sources"), **data))


def _decision(plan: Plan, book: RuleBook) -> Data:
    data = as_json(plan, rejected=False)
    steps = [{"name": name, "rows": list(rows)} for name, rows in groupby(data["trace"], key=lambda entry: entry["step"])]
    drawn = bar(data["memory"])
    return {
        "bar": drawn and drawn["cells"], "start_up": plan.choice and start_up(plan, plan.choice, book), "terms": data["memory_terms"],
        "marks": {name: mark for name, _, mark in TERMS},
        "steps": [*steps, *([{"name": "warnings", "rows": data["warnings"]}] if plan.warnings else [])],
        "rejected": sorted(grouped(plan.rejected, _pair), key=lambda found: _pair(found[0])),
    }  # fmt: skip


def _pair(rejection: Rejection) -> tuple[str, str]:
    return rejection.candidate.engine, rejection.candidate.method


def _why_not(plan: Plan, wanted: str, lost_by: Callable[[Candidate], Row | None]) -> Data:
    engine, _, method = wanted.partition("/")

    def asked(candidate: Candidate) -> bool:
        return candidate.engine == engine and method in ("", candidate.method)

    choice = plan.choice
    lower = []
    for one in filter(asked, plan.alternatives):
        row = lost_by(one) if choice is not None else None
        lost = reason_json(Reason(row.id, row.because, row.source, {}, row.at)) if row is not None else None
        lower.append({"candidate": one, "faster": _faster(one, choice), "lost_by": lost})
    alike = grouped((one for one in plan.rejected if asked(one.candidate)), _alike)
    rejected = [{"candidates": [one.candidate for one in same], "rows": list(map(reason_json, same[0].reasons))} for same in alike]
    return {"wanted": wanted, "chosen": choice is not None and asked(choice), "lower": lower, "rejected": rejected}


def _faster(candidate: Candidate, choice: Candidate | None) -> float | None:
    one, other = candidate.speed, choice.speed if choice is not None else None
    return one.output_tokens_per_second.value / other.output_tokens_per_second.value if one is not None and other is not None else None


def _alike(rejection: Rejection) -> str:
    """Equal for rejections by equal rows that read equal values."""
    return repr([(reason.row, sorted((n, str(r.value)) for n, r in reason.read.items())) for reason in rejection.reasons])

"""`gen-deploy explain`: the decision, row by row."""

from __future__ import annotations

from pathlib import Path

import click

from generator.cli import options
from generator.cli.output import answer
from generator.decide.decision import decide
from generator.errors import DONE, NOTHING_FITS, Problem, UsageError, did_you_mean
from generator.render.plan_json import as_json as plan_json
from generator.report.explain import explain
from generator.rulebook.book import RuleBook


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

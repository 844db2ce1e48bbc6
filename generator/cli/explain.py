"""`gen-deploy explain`: the decision, row by row."""

from __future__ import annotations

from pathlib import Path

import click

from generator.cli import options
from generator.cli.output import show
from generator.decide.decision import decide
from generator.errors import DONE, NOTHING_FITS, Problem, UsageError, did_you_mean
from generator.report.explain import explain
from generator.rulebook.book import RuleBook, load


@click.command("explain")
@click.argument("spec", type=click.Path(path_type=Path), metavar="SPEC", required=False)
@options.words_options
@click.option("--why-not", metavar="ENGINE[/METHOD]", help="Explain why this engine (with this method) was not chosen.")
@options.options(options.rules_option, options.engine_option)
def command(
    spec: Path | None, model: str | None, gpu: str | None, gpus: str | None, why_not: str | None, rules: str, engine: str | None
) -> int:
    """Explain the decision for SPEC, or a model on a GPU (-m MODEL -g GPU), row by row, with sources and file:line."""
    book = load(rules)
    options.check_engine(engine, book)
    if why_not is not None:
        _check(why_not, book)
    found = options.from_words(() if spec is None else (spec,), model, gpu, gpus, engine) or options.read_spec(spec or Path(), engine)
    outcome = decide(found, book, thorough=why_not is not None)
    show(explain(outcome.plan, book, why_not, outcome.lost_by).rstrip("\n"))
    return DONE if outcome.plan.choice else NOTHING_FITS


def _check(why_not: str, book: RuleBook) -> None:
    engine, _, method = why_not.partition("/")
    for word, section in ((engine, "engines"), (method, "methods")):
        known = book.section(section)
        if word and word not in known:
            raise UsageError(Problem(f"unknown-{section[:-1]}", f"--why-not: {word!r} is not a known {section[:-1]}{did_you_mean(word, known)}"))

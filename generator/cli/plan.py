"""`gen-deploy plan`: decide and estimate, write nothing."""

from __future__ import annotations

from pathlib import Path

import click

from generator.cli import options
from generator.cli import sweep as sweeps
from generator.cli.output import chosen, show, show_all_json
from generator.decide.decision import decide
from generator.errors import DONE
from generator.render.plan_json import as_json as plan_json
from generator.report.speed import curve_json, curve_text
from generator.report.summary import Warnings, summary
from generator.rulebook.book import RuleBook
from generator.spec.deployment import DeploymentSpec


@click.command("plan")
@options.some_specs_argument
@options.words_options
@options.options(options.book_option, options.engine_option, options.all_engines_option)
@options.options(sweeps.sweep_option, sweeps.prices_option, options.json_option, options.quiet_option)
def command(
    specs: tuple[Path, ...], words: options.Words, book: RuleBook, engine: str | None, all_engines: bool, sweep: str | None, prices: Path | None,
    as_json: bool, quiet: bool,
) -> int:  # fmt: skip
    """Decide each SPEC, or a model on a GPU (-m MODEL -g GPU), and print the choice with its memory and speed; write nothing."""
    asked = sweeps.concurrencies(sweep) if sweep is not None else []
    paid = sweeps.prices_of(prices, book) if prices else None
    objects, texts, warned = [], [], Warnings()

    def one(spec: DeploymentSpec) -> int:
        outcome = decide(spec, book)
        curve = sweeps.curve_of(outcome, asked) if asked else []
        if as_json:
            extra = {"sweep": curve_json(curve) or None} if asked else {}
            objects.append({**plan_json(outcome.plan), **extra, **({"cost": sweeps.cost_of(outcome, paid)} if paid is not None else {})})
        choice = chosen(outcome)
        if not as_json and not quiet:
            lines = [summary(outcome.plan, choice, all_engines), *sweeps.cost_lines(outcome, paid)]
            texts.append("\n".join([*lines, *([curve_text(choice, curve)] if asked else ())]))
            warned.add(outcome.plan)
        return DONE

    code = options.each_spec(specs, engine, one, words)
    if as_json:
        show_all_json(objects, several=len(specs) > 1)
    if texts:
        show("\n".join([*texts, *warned.lines()]))
    return code

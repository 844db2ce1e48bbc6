"""`gen-deploy plan`: decide and estimate, write nothing."""

from __future__ import annotations

from pathlib import Path

import click

from generator.cli import options
from generator.cli.output import say, show, show_json
from generator.decide.decision import decide
from generator.errors import DONE, NOTHING_FITS, GenDeployError
from generator.plan import as_json as plan_json
from generator.report.summary import summary
from generator.rulebook import load


@click.command("plan")
@options.specs_argument
@options.options(options.rules_option, options.engine_option, options.all_engines_option, options.json_option, options.quiet_option)
def command(specs: tuple[Path, ...], rules: str, engine: str | None, all_engines: bool, as_json: bool, quiet: bool) -> int:
    """Decide each SPEC and print the choice with its memory; write nothing."""

    book = load(rules)
    found, errors = options.read_specs(specs, engine)
    code = DONE
    objects, texts = [], []
    for error in errors:
        say(error.problems)
        code = max(code, error.exit_code)
    for spec in found:
        try:
            outcome = decide(spec, book)
        except GenDeployError as error:
            say(error.problems)
            code = max(code, error.exit_code)
            continue
        if outcome.plan.choice is None:
            code = max(code, NOTHING_FITS)
        if as_json:
            objects.append(plan_json(outcome.plan))
        elif not quiet:
            texts.append(summary(outcome.plan, book, all_engines=all_engines))
    if as_json and objects:
        show_json(objects[0] if len(specs) == 1 else objects)
    if texts:
        show("\n".join(texts))
    return code

"""`gen-deploy plan`: decide and estimate, write nothing."""

from __future__ import annotations

from pathlib import Path

import click

from generator.cli import options
from generator.cli import sweep as sweeps
from generator.cli.output import refused, show, show_json, tell
from generator.decide.decision import decide
from generator.errors import DONE, NOTHING_FITS
from generator.render.plan_json import as_json as plan_json
from generator.report.summary import summary
from generator.rulebook.book import load
from generator.spec.deployment import DeploymentSpec


@click.command("plan")
@options.some_specs_argument
@options.words_options
@options.options(options.rules_option, options.engine_option, options.all_engines_option)
@options.options(sweeps.sweep_option, sweeps.prices_option, options.json_option, options.quiet_option)
def command(
    specs: tuple[Path, ...], model: str | None, gpu: str | None, gpus: str | None, rules: str, engine: str | None, all_engines: bool,
    sweep: str | None, prices: Path | None, as_json: bool, quiet: bool,
) -> int:  # fmt: skip
    """Decide each SPEC, or a model on a GPU (-m MODEL -g GPU), and print the choice with its memory and speed; write nothing."""
    options.check_engine(engine, book := load(rules))
    spec = options.from_words(specs, model, gpu, gpus, engine)
    asked = sweeps.concurrencies(sweep) if sweep is not None else []
    paid = sweeps.Prices(prices, book) if prices else None
    objects, texts = [], []

    def one(spec: DeploymentSpec) -> int:
        outcome = decide(spec, book)
        if as_json:
            extra = {"sweep": sweeps.sweep_json(outcome, asked)} if asked else {}
            objects.append({**plan_json(outcome.plan), **extra, **({"cost": sweeps.cost_of(outcome, paid)} if paid else {})})
        if outcome.plan.choice is None:
            tell(refused(outcome))
            return NOTHING_FITS
        if not as_json and not quiet:
            lines = [summary(outcome.plan, book, all_engines=all_engines), *sweeps.cost_lines(outcome, paid)]
            texts.append("\n".join([*lines, *(sweeps.sweep_lines(outcome, asked) if asked else ())]))
        return DONE

    code = options.attempt(one, spec) if spec is not None else options.each_spec(specs, engine, book, one)
    if as_json and (objects or len(specs) > 1):
        show_json(objects if len(specs) > 1 else objects[0])
    if texts:
        show("\n".join(texts))
    return code

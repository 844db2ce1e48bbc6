"""The main job: `gen-deploy SPEC… -o DIR`."""

from __future__ import annotations

from pathlib import Path

import click

from generator import __version__
from generator.cli import options
from generator.cli.files import candidates, decided, rendered
from generator.cli.output import say, show, tell
from generator.errors import DONE, NOTHING_FITS, GenDeployError
from generator.report.summary import chosen_line, refusal, warning_lines
from generator.rulebook import RuleBook, load
from generator.spec import DeploymentSpec
from generator.write import write_spec


@click.command("generate")
@options.specs_argument
@options.options(options.out_option, options.rules_option, options.engine_option, options.all_engines_option)
@click.option("--force", is_flag=True, help="Overwrite generated files that were edited by hand.")
@click.option("--prune", is_flag=True, help="Remove own files that are no longer generated.")
@options.options(options.quiet_option, options.verbose_option)
def command(
    specs: tuple[Path, ...], out: Path, rules: str, engine: str | None, all_engines: bool, force: bool, prune: bool, quiet: bool, verbose: bool
) -> int:
    """Plan each SPEC and write its files into DIR/<name>/; each spec whole or not at all."""
    book = load(rules)
    found, errors = options.read_specs(specs, engine)
    code = DONE
    for error in errors:
        say(error.problems)
        code = max(code, error.exit_code)
    for spec in found:
        try:
            code = max(code, _one(spec, book, out, all_engines, force, prune, quiet, verbose))
        except GenDeployError as error:
            say(error.problems)
            code = max(code, error.exit_code)
    return code


def _one(
    spec: DeploymentSpec, book: RuleBook, out: Path, all_engines: bool, force: bool, prune: bool, quiet: bool, verbose: bool
) -> int:
    outcome, code = decided(spec, book)
    if outcome is None:
        return code
    if outcome.plan.choice is None:
        tell(refusal(outcome.plan, spec.document.name))
        return NOTHING_FITS
    files = rendered(outcome, book, out, all_engines)
    extra = {"generator": f"gen-deploy {__version__}", "rules": {"name": book.name, "digest": book.digest}}
    result = write_spec(out, spec.name, files, extra, force=force, prune=prune)
    if quiet:
        return DONE
    for candidate in candidates(outcome, all_engines):
        show(f"{result.folder}/{candidate.engine}: {chosen_line(candidate)}")
    state = f"{len(result.written)} written, {len(result.unchanged)} unchanged"
    state += f", {len(result.removed)} removed" if result.removed else ""
    state += f", {len(result.kept)} stale (--prune removes them)" if result.kept else ""
    show(f"{result.folder}: {state}")
    for line in warning_lines(outcome.plan, verbose):
        tell(line)
    return DONE

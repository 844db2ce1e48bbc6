"""`gen-deploy check`: whether the generated files are what would be generated now."""

from __future__ import annotations

from pathlib import Path

import click

from generator.cli import options
from generator.cli.files import decided, rendered
from generator.cli.output import say, show, tell
from generator.errors import DIFFERENCES, DONE, NOTHING_FITS, GenDeployError
from generator.report.summary import refusal
from generator.rulebook import load
from generator.write import compare

MEANING = {
    "missing": "missing",
    "differs": "not what would be generated now",
    "edited": "edited by hand",
    "stale": "no longer generated",
}


@click.command("check")
@options.specs_argument
@options.options(options.out_option, options.rules_option, options.engine_option, options.all_engines_option, options.quiet_option)
def command(specs: tuple[Path, ...], out: Path, rules: str, engine: str | None, all_engines: bool, quiet: bool) -> int:
    """Write nothing; say which generated files differ, are missing, or were edited by hand."""
    book = load(rules)
    found, errors = options.read_specs(specs, engine)
    code = DONE
    for error in errors:
        say(error.problems)
        code = max(code, error.exit_code)
    for spec in found:
        try:
            outcome, bad = decided(spec, book)
            code = max(code, bad)
            if outcome is None:
                continue
            if outcome.plan.choice is None:
                tell(refusal(outcome.plan, spec.document.name))
                code = max(code, NOTHING_FITS)
                continue
            findings = compare(out, spec.name, rendered(outcome, book, out, all_engines))
        except GenDeployError as error:
            say(error.problems)
            code = max(code, error.exit_code)
            continue
        for finding in findings:
            show(f"{out / spec.name / finding.path}: {MEANING[finding.kind]}")
            code = max(code, DIFFERENCES)
        if not findings and not quiet:
            show(f"{out / spec.name}: as generated")
    return code

"""`gen-deploy lint`: proofs over the tables of a rule set."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import click

from generator.cases.compare import cases_run, example_files, examples_seen, reached, without_cases
from generator.cli import options
from generator.cli.output import progress, show
from generator.errors import BAD_INPUT, DONE, GenDeployError, InputError, Problem
from generator.readers.problems import in_order
from generator.report.findings import FORMATS, as_format
from generator.rulebook.book import RuleBook, sections_of
from generator.rulebook.lint.findings import Reached, findings
from generator.rulebook.overlay import Gathered
from generator.rulebook.rulesets import chain, find, gather, root_of
from generator.spec import project

MONTHS = 12


@click.command("lint")
@options.options(options.tree_rules_option)
@click.option("--format", "kind", type=click.Choice(FORMATS), default="text", show_default=True, help="The output format.")
@click.option("--no-cases", is_flag=True, help="Skip the check that cases and examples reach each row.")
@options.options(options.json_option, options.verbose_option)
def command(rules: str, kind: str, no_cases: bool, as_json: bool, verbose: bool) -> int:
    """Check a rule set by proof: unreachable rows, gaps, overlaps, stale sources; exit 1 on errors."""
    return report_on(rules, "json" if as_json else kind, no_cases, verbose)


def report_on(rules: str, kind: str = "text", no_cases: bool = False, verbose: bool = False) -> int:
    """Print the findings of a rule set; returns the exit code."""
    try:
        found = lint(rules, date.today(), no_cases)
    except InputError as error:
        found = list(error.problems)
    text = as_format(found, kind, verbose)
    if text:
        show(text)
    return BAD_INPUT if any(p.severity == "error" for p in found) else DONE


def lint(rules: str, today: date, no_cases: bool = False) -> list[Problem]:
    """All findings of a rule set; raises `InputError` if its files cannot be read."""
    path = find(rules)
    gathered = gather(path, trust=False)
    looked, problems = (None, []) if no_cases or gathered.problems else _reached(path, gathered)
    shared = len(chain(path)) == 1 and path.resolve() == root_of(path).resolve() / "default"
    return in_order([*findings(gathered, today, MONTHS, looked, shared), *problems])


def _reached(path: Path, gathered: Gathered) -> tuple[Reached | None, list[Problem]]:
    """The rows that cases and examples reach; None if a shipped set has no cases (an installed wheel)."""
    book = RuleBook(sections_of(gathered.merged))
    try:
        cases = cases_run(path, book, progress)
    except GenDeployError as error:
        return None, list(error.problems)
    seen = [result.observed for result in cases]
    seen += [one for _, one in examples_seen(progress(example_files(path, project.find(Path())), "examples"), book)]
    if without_cases(path):
        return None, []
    return Reached(reached(seen), len(seen)), []

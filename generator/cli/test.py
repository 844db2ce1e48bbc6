"""`gen-deploy test`: the cases of a rule set."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from generator.cases.case import case_files, chosen, read_cases
from generator.cases.compare import Result, problems_of, run
from generator.cases.corpus import without_cases
from generator.cases.update import flow, mendable, updated
from generator.cli import options
from generator.cli.output import progress, show, show_json, tell
from generator.errors import BAD_INPUT, DONE, Problem, UsageError
from generator.readers.resources import shown
from generator.rulebook.book import load
from generator.rulebook.rulesets import find


@click.command("test")
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path), metavar="[PATH...]")
@options.options(options.tree_rules_option)
@click.option("-k", "words", multiple=True, metavar="WORD", help="Run only cases whose id contains WORD.")
@click.option("--update", is_flag=True, help="Show failed expectations and update them in the case files.")
@options.options(options.json_option, options.verbose_option)
def command(paths: tuple[Path, ...], rules: str, words: tuple[str, ...], update: bool, as_json: bool, verbose: bool) -> int:
    """Run the cases of a rule set, or those in PATH: the expected decision for a spec, and the expected rows."""
    missing = next((path for path in paths if not path.exists()), None)
    if missing is not None:
        raise UsageError(Problem("no-such-file", f"{missing} does not exist"))
    book = load(rules)
    files = paths or case_files(find(rules))
    results = [run(case, book) for case in progress(chosen(read_cases(files), words), "cases")]
    if update:
        _update(results)
        results = [run(case, book) for case in chosen(read_cases(files), words)]
    failed = sum(bool(result.differences) for result in results)
    if as_json:
        cases = []
        for one in results:
            found = [{"at": str(difference.place), "message": difference.message} for difference in one.differences]
            cases.append({"id": one.case.id, "at": str(one.case.place()), "passed": not found, "differences": found})
        show_json({"cases": cases, "failed": failed})
    else:
        _print(results, failed, verbose)
        if not paths and without_cases(find(rules)):
            tell(f"the cases of {rules} are in gen-deploy's repository, not in an installation")
    return BAD_INPUT if failed else DONE


def _print(results: list[Result], failed: int, verbose: bool) -> None:
    for result in results:
        for problem in problems_of(result):
            show(str(problem))
        if verbose and not result.differences:
            show(f"{result.case.place()}: {result.case.id}: as expected")
    show(f"{len(results)} case{'' if len(results) == 1 else 's'}, {failed} failed" if results else "no cases")


def _update(results: list[Result]) -> None:
    by_file: dict[Path, list[Result]] = {}
    for result in results:
        if mendable(result):
            by_file.setdefault(result.case.path, []).append(result)
            for one in mendable(result):
                old: Any = result.case.expect
                for step in one.path:
                    old = old.get(step) if isinstance(old, dict) else None
                tell(f"{one.place}: {result.case.id}: {'.'.join(map(str, one.path))}: {flow(old)} -> {flow(one.got)}")
    for path, found in by_file.items():
        path.write_text(updated(path.read_text(encoding="utf-8"), found), encoding="utf-8")
        tell(f"{shown(path)}: {len(found)} case{'' if len(found) == 1 else 's'} brought up to date")

"""`gen-deploy test`: the cases of a rule set."""

from __future__ import annotations

from pathlib import Path

import click

from generator.cases.case import case_files, chosen, read_cases
from generator.cases.compare import Result, problems_of, run, without_cases
from generator.cli import options
from generator.cli.output import progress, show, show_json, tell
from generator.errors import BAD_INPUT, DONE, Problem, UsageError
from generator.rulebook.book import load
from generator.rulebook.rulesets import find


@click.command("test")
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path), metavar="[PATH...]")
@options.options(options.tree_rules_option)
@click.option("-k", "words", multiple=True, metavar="WORD", help="Run only cases whose id contains WORD.")
@options.options(options.json_option, options.verbose_option)
def command(paths: tuple[Path, ...], rules: str, words: tuple[str, ...], as_json: bool, verbose: bool) -> int:
    """Run the cases of a rule set, or those in PATH: the expected decision for a spec, and the expected rows."""
    missing = next((path for path in paths if not path.exists()), None)
    if missing is not None:
        raise UsageError(Problem("no-such-file", f"{missing} does not exist"))
    book = load(rules)
    files = paths or case_files(find(rules))
    results = [run(case, book) for case in progress(chosen(read_cases(files), words), "cases")]
    failed = sum(bool(result.differences) for result in results)
    if as_json:
        found = [(one.case, [{"at": str(each.place), "message": each.message} for each in one.differences]) for one in results]
        cases = [{"id": case.id, "at": str(case.place()), "passed": not differences, "differences": differences} for case, differences in found]
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


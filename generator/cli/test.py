"""`gen-deploy test`: the cases of a rule set."""

from __future__ import annotations

from pathlib import Path

import click

from generator.cases.case import Case, case_files, chosen, read_cases
from generator.cases.compare import Result, problems_of, run
from generator.cases.corpus import example_files, examples_seen, without_cases
from generator.cases.observed import reached
from generator.cases.update import flow, mendable, updated
from generator.cli import options
from generator.cli.output import progress, show, show_json, tell
from generator.errors import BAD_INPUT, DONE, Problem, UsageError, WriteError
from generator.readers.resources import shown
from generator.rulebook.book import RuleBook, load
from generator.rulebook.rulesets import find, layers
from generator.rulebook.table import Row
from generator.spec import project


@click.command("test")
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path), metavar="[PATH...]")
@options.options(options.tree_rules_option)
@click.option("-k", "words", multiple=True, metavar="WORD", help="Run only cases whose id contains WORD.")
@click.option("--coverage", is_flag=True, help="List rows that no case reaches.")
@click.option("--update", is_flag=True, help="Show failed expectations and update them in the case files.")
@options.options(options.json_option, options.verbose_option)
def command(paths: tuple[Path, ...], rules: str, words: tuple[str, ...], coverage: bool, update: bool, as_json: bool, verbose: bool) -> int:
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
    if as_json:
        show_json(_as_data(results, _own_rows(book, rules) if coverage else None))
    else:
        _print(results, verbose)
        if not paths and without_cases(find(rules)):
            tell(f"the cases of {rules} are in gen-deploy's repository, not in an installation")
        elif coverage:
            _coverage(results, book, rules)
    return BAD_INPUT if any(result.differences for result in results) else DONE


def _print(results: list[Result], verbose: bool) -> None:
    for result in results:
        for problem in problems_of(result):
            show(str(problem))
        if verbose and not result.differences:
            show(f"{result.case.place()}: {result.case.id}: as expected")
    failed = sum(bool(result.differences) for result in results)
    show(f"{len(results)} case{'' if len(results) == 1 else 's'}, {failed} failed" if results else "no cases")


def _coverage(results: list[Result], book: RuleBook, rules: str) -> None:
    by_cases = reached(result.observed for result in results)
    by_examples = reached(seen for _, seen in examples_seen(example_files(find(rules), project.find(Path())), book))
    rows = _own_rows(book, rules)
    for name, row in rows:
        if (name, row.id) not in by_cases:
            show(f"{row.at}: {name}/{row.id}: no case reaches it{', an example does' if (name, row.id) in by_examples else ''}")
    hit = sum((name, row.id) in by_cases for name, row in rows)
    show(f"{hit} of {len(rows)} rows are reached by a case")


def _own_rows(book: RuleBook, rules: str) -> list[tuple[str, Row]]:
    """The rows of the set itself, without the sets it extends."""
    own = {shown(path) for path in layers(find(rules))[-1]}
    return [(name, row) for name, table in book.tables.items() for row in table.rows if row.at.rpartition(":")[0] in own]


def _update(results: list[Result]) -> None:
    by_file: dict[Path, list[Result]] = {}
    for result in results:
        if mendable(result):
            by_file.setdefault(result.case.path, []).append(result)
            for one in mendable(result):
                old = _expected(result.case, one.path)
                tell(f"{one.place}: {result.case.id}: {'.'.join(map(str, one.path))}: {flow(old)} -> {flow(one.got)}")
    for path, found in by_file.items():
        try:
            path.write_text(updated(path.read_text(encoding="utf-8"), found), encoding="utf-8")
        except OSError as error:
            raise WriteError(Problem("cannot-write", f"{path}: {error.strerror}")) from None
        tell(f"{shown(path)}: {len(found)} case{'' if len(found) == 1 else 's'} brought up to date")


def _expected(case: Case, path: tuple[str | int, ...]) -> object:
    value: object = case.expect
    for step in path:
        value = value.get(step) if isinstance(value, dict) else None
    return value


def _differences(result: Result) -> list[dict[str, str]]:
    return [{"at": str(one.place), "message": one.message} for one in result.differences]


def _as_data(results: list[Result], rows: list[tuple[str, Row]] | None) -> dict[str, object]:
    data: dict[str, object] = {
        "cases": [
            {"id": r.case.id, "at": str(r.case.place()), "passed": not r.differences, "differences": _differences(r)} for r in results
        ],
        "failed": sum(bool(r.differences) for r in results),
    }
    if rows is not None:
        hit = reached(result.observed for result in results)
        data["not_reached"] = [f"{name}/{row.id}" for name, row in rows if (name, row.id) not in hit]
    return data

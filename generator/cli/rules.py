"""`gen-deploy rules`: the effective rules."""

from __future__ import annotations

from pathlib import Path

import click

from generator.cases.compare import cases_run, example_files, examples_seen, without_cases
from generator.cli import options
from generator.cli.output import answer
from generator.errors import InputError
from generator.report import rules as report
from generator.rulebook.book import RuleBook, sections_of
from generator.rulebook.rulesets import find, gather
from generator.spec import project


@click.group("rules")
def command() -> None:
    """Show the effective rules of a set, or one of them."""


@command.command("show")
@click.argument("name", required=False, metavar="[ID]")
@options.options(options.tree_rules_option)
@click.option("--origin", is_flag=True, help="Show the origin of each part: the layer, and file:line:column.")
@options.options(options.json_option)
def show_rules(name: str | None, rules: str, origin: bool, as_json: bool) -> int:
    """Show every row of the effective set, or the row, threshold or fact ID with its source, its cases and the examples that it decides."""
    path = find(rules)
    gathered = gather(path)
    if gathered.problems:
        raise InputError(gathered.problems)
    if name is None:
        rows = [report.row_data(gathered, table, row) for table, row in gathered.rows()]
        data = {"ruleset": gathered.merged["ruleset"], "rows": rows, "changes": report.changes(gathered)}
        return answer(data, "" if as_json else report.whole(gathered, origin), as_json)
    found = report.named(gathered, name)
    with_cases = any("table" in one for one in found) and not (without_cases(path) and project.find(Path()) is None)
    book = RuleBook(sections_of(gathered.merged))
    cases = [(result.case.id, result.observed) for result in cases_run(path, book)] if with_cases else []
    seen_examples = examples_seen(example_files(path, project.find(Path())), book) if with_cases else ()
    examples = [(file.stem, seen) for file, seen in seen_examples]
    objects, texts = list[object](), list[str]()
    for one in found:
        table = one.get("table")
        in_cases = [word for word, seen in cases if one["id"] in seen.rows[table]] if table and with_cases else None
        in_examples = [word for word, seen in examples if one["id"] in seen.rows[table]] if table else []
        objects.append({**one, "cases": in_cases or [], "examples": in_examples})
        texts.append(report.one(gathered, one, origin, in_cases, in_examples))
    return answer(objects[0] if len(objects) == 1 else objects, "\n\n".join(texts), as_json)

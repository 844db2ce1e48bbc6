"""A comparison as text, and the choice of its format.

Floor 7, pure.
"""

from __future__ import annotations

from collections.abc import Iterator

from generator.compare.groups import Group, as_told
from generator.compare.model import Change, Comparison
from generator.errors import one_line
from generator.report import diff_words as words
from generator.report.diff_github import github
from generator.report.diff_json import as_json
from generator.report.diff_markdown import markdown

FORMATS = ("text", "markdown", "json", "github")
MOST_CAUSES = 1
MOST_CHANGES = 40
MOST_EDITS = 10
MOST_OUTCOMES = 8
MOST_IN_GRID = 5


def report(result: Comparison, form: str, verbose: bool = False) -> str:
    """A comparison in one of `FORMATS`, without the last line end."""
    if form == "json":
        return as_json(result)
    if form == "github":
        return github(result)
    if form == "markdown":
        return markdown(result, verbose)
    return "\n".join(map(one_line, text_lines(result, verbose)))


def text_lines(result: Comparison, verbose: bool = False) -> Iterator[str]:
    """The verdict, each changed spec with its cause, the edits, the files; everything with `verbose`."""
    yield words.verdict(result)
    yield words.rules_line(result)
    yield from _changes(result, verbose, MOST_CHANGES, "specs")
    if result.edits:
        edits = result.edits if verbose else result.edits[:MOST_EDITS]
        yield f"edits of the rules: {len(result.edits)}"
        for edit in edits:
            authority = words.authority(edit)
            where = f" [{edit.at}]" if edit.at else ""
            yield f"  {words.edit_words(edit)}{f' ({authority})' if authority else ''}{where}: {words.effect(edit, result)}"
        if len(edits) < len(result.edits):
            yield f"  and {len(result.edits) - len(edits)} more (-v shows them)"
    for line in (words.others_line(result), words.files_line(result)):
        if line:
            yield line
    if result.grid is not None:
        yield f"grid: {words.verdict(result.grid, words.GRID)}"
        yield from (f"  {line}" for line in _changes(result.grid, verbose, MOST_IN_GRID, "deployments"))
    if verbose:
        yield from _files(result)


def _changes(result: Comparison, verbose: bool, most: int, unit: str) -> Iterator[str]:
    """The changes: without `verbose` only decisions, and many with one cause together."""
    if verbose:
        for change in result.changes:
            yield from _change(change, result, True)
        return
    told = 0
    for group in as_told(result.decisive):
        if told >= most:
            break
        told += len(group.changes)
        yield from _group(group, result, unit) if group.large else _change(group.changes[0], result, False)
    if told < len(result.decisive):
        yield f"and {len(result.decisive) - told} more {unit} (-v shows them)"


def _group(group: Group, result: Comparison, unit: str) -> Iterator[str]:
    yield f"{len(group.changes)} {unit} with one cause, {words.cause_of(group, result)}"
    outcomes = group.outcomes()
    for change, names in outcomes[:MOST_OUTCOMES]:
        yield f"  {words.listed(map(words.value, names))}: {words.headline(change)}"
    if len(outcomes) > MOST_OUTCOMES:
        rest = sum(len(names) for _, names in outcomes[MOST_OUTCOMES:])
        yield f"  and {rest} more (-v shows them)"
    for line in words.cause_lines(group.changes[0], result, MOST_CAUSES):
        yield f"  for example {words.value(group.changes[0].name)}: {line}"


def _change(change: Change, result: Comparison, verbose: bool) -> Iterator[str]:
    yield f"{words.value(change.name)}: {words.headline(change, verbose)}"
    for i, line in enumerate(words.cause_lines(change, result, None if verbose else MOST_CAUSES)):
        yield f"  {line}"
        because = change.causes[i].because if verbose and i < len(change.causes) else ""
        if because:
            yield f"    because {' '.join(because.split())}"
    if verbose and change.old != change.new and change.old and change.new:
        yield f"  {words.moved(change.moves, whole=True)}"


def _files(result: Comparison) -> Iterator[str]:
    for change in result.changes:
        for file in change.files:
            yield ""
            yield f"{change.name}/{file.path} ({file.state})"
            yield from (f"  {line}" for line in file.lines)

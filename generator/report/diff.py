"""A comparison as text, and the choice of its format.

Floor 7, pure.
"""

from __future__ import annotations

from collections.abc import Iterator

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


def report(result: Comparison, form: str, verbose: bool = False) -> str:
    """A comparison in one of `FORMATS`, without the last line end."""
    if form == "json":
        return as_json(result)
    if form == "github":
        return github(result)
    if form == "markdown":
        return markdown(result)
    return "\n".join(map(one_line, text_lines(result, verbose)))


def text_lines(result: Comparison, verbose: bool = False) -> Iterator[str]:
    """The verdict, each changed spec with its cause, the edits, the files; everything with `verbose`."""
    yield words.verdict(result)
    yield words.rules_line(result)
    shown = result.changes if verbose else result.decisive[:MOST_CHANGES]
    for change in shown:
        yield from _change(change, result, verbose)
    if not verbose and len(result.decisive) > len(shown):
        yield f"and {len(result.decisive) - len(shown)} more specs (-v shows them)"
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
    if verbose:
        yield from _files(result)


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

"""A comparison as Markdown for a single pull-request comment, found again by its marker.

Floor 7, pure. Values go into code spans or fences, so that they cannot become a mention, a link or HTML; the text stays
below GitHub's size limit of a comment.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from generator.compare.groups import Group, as_told
from generator.compare.model import Change, Comparison
from generator.errors import printable
from generator.report import diff_words as words

MARKER = "<!-- gen-deploy diff -->"
MOST_BYTES = 60_000
"""GitHub refuses comments of more than 65,536 characters."""
MOST_HEAD_BYTES = 50_000
"""The limit of the part before the files: names can be long."""
MOST_LINES = 60
"""What a screen shows: more files are left out, except with `-v`."""
MOST_ROWS = 15
MOST_EDITS = 10
MOST_IN_GRID = 5
MOST_FOLDED = 50


def markdown(result: Comparison, verbose: bool = False) -> str:
    """The comment: verdict, changes by cause, edits, the grid; folded, all outcomes, and as many files as fit on a screen (in a comment with `verbose`)."""
    parts: list[str] = []
    size = lines = left_out = 0
    for line in _head(result):
        size += len(line.encode()) + 1
        lines += line.count("\n") + 1
        if size > MOST_HEAD_BYTES:
            parts.append("\nThe rest is left out: the comment would be too long.")
            break
        parts.append(line)
    for block in _files(result):
        size += len(block.encode()) + 1
        lines += block.count("\n") + 1
        if size > MOST_BYTES or (lines > MOST_LINES and not verbose):
            left_out += 1
        else:
            parts.append(block)
    if left_out:
        parts.append(f"\nThe files of {left_out} more specs are left out{': the comment would be too long' if verbose else ' (`-v` shows them)'}.")
    return "\n".join(parts)


def _head(result: Comparison) -> Iterator[str]:
    yield MARKER
    yield f"### {plain(words.verdict(result))}"
    yield ""
    yield _rules(result)
    yield from _changes(result, MOST_ROWS)
    if result.edits:
        yield from ("", "**Edits of the rules**", "", *_edits(result, 0, MOST_EDITS))
    others = words.others_line(result)
    if others:
        yield from ("", plain(others[0].upper() + others[1:] + "."))
    if result.grid is not None:
        yield from ("", f"**Grid**: {plain(words.verdict(result.grid, words.GRID))}", *_changes(result.grid, MOST_IN_GRID))
    yield from _folds(result)


def _changes(result: Comparison, most: int) -> Iterator[str]:
    """The table of changes: a row for each, or for many with one cause."""
    found = as_told(result.decisive)
    if found:
        rows = [_row(code(group.changes[0].name), group.changes[0], result, 3) if not group.large else _group(group, result) for group in found[:most]]
        yield from ("", "| spec | before → after | because |", "|---|---|---|", *rows)
    if len(found) > most:
        yield f"| | and {sum(len(group.changes) for group in found[most:])} more | |"


def _group(group: Group, result: Comparison) -> str:
    """One row for a large group."""
    outcomes = group.outcomes()
    shown = [code(words.headline(change)) for change, _ in outcomes[:2]] + ([f"and {len(outcomes) - 2} other outcomes"] if len(outcomes) > 2 else [])
    return f"| {code(f'{len(group.changes)} specs')} | {'<br>'.join(shown)} | {code(words.cause_of(group, result))} |"


def _row(names: str, change: Change, result: Comparison, most: int) -> str:
    why = "<br>".join(code(line) for line in words.cause_lines(change, result, most))
    return f"| {names} | {code(words.headline(change))} | {why} |"


def _edits(result: Comparison, start: int, end: int) -> Iterator[str]:
    yield from ("| edit | source | effect |", "|---|---|---|")
    for edit in result.edits[start:end]:
        where = f" {code(edit.at)}" if edit.at else ""
        yield f"| {code(words.edit_words(edit))}{where} | {plain(words.authority(edit))} | {plain(words.effect(edit, result))} |"
    if len(result.edits) > end:
        yield f"| and {len(result.edits) - end} more | | |"


def _folds(result: Comparison) -> Iterator[str]:
    """What the tables only summarise: all outcomes, of the grid too, and the other edits."""
    for title, one, most in (("All changes", result, MOST_ROWS), ("All changes in the grid", result.grid, MOST_IN_GRID)):
        found = as_told(one.decisive) if one is not None else []
        if one is not None and (any(group.large for group in found) or len(found) > most):
            outcomes = [outcome for group in found for outcome in group.outcomes()]
            rows = [_row("<br>".join(map(code, [*names[:MOST_ROWS], *_more(names)])), change, one, 1) for change, names in outcomes[:MOST_FOLDED]]
            rest = sum(len(names) for _, names in outcomes[MOST_FOLDED:])
            rows += [f"| | and {rest} more | |"] if rest else []
            yield from _fold(title, ["| specs | before → after | because |", "|---|---|---|", *rows])
    if len(result.edits) > MOST_EDITS:
        yield from _fold("The other edits", list(_edits(result, MOST_EDITS, MOST_FOLDED)))


def _more(names: Sequence[str]) -> list[str]:
    return [f"and {len(names) - MOST_ROWS} more"] if len(names) > MOST_ROWS else []


def _fold(title: str, lines: Iterable[str]) -> Iterator[str]:
    yield from ("", f"<details><summary>{title}</summary>", "", *lines, "", "</details>")


def _rules(result: Comparison) -> str:
    old, new = result.old, result.new
    if old.digest == new.digest:
        return f"Rules {code(f'{new.name} {new.digest}')} on both sides ({code(old.label)}, {code(new.label)})."
    return f"Rules {code(f'{old.name} {old.digest}')} ({code(old.label)}) → {code(f'{new.name} {new.digest}')} ({code(new.label)})."


def _files(result: Comparison) -> Iterator[str]:
    line = words.files_line(result)
    if line is None:
        return
    yield f"\n{line[0].upper()}{line[1:]}."
    for change in result.changes:
        if change.files:
            yield "\n".join(_folded(change))


def _folded(change: Change) -> Iterator[str]:
    lines: list[str] = []
    for file in change.files:
        mark = _fence(file.lines)
        lines += (f"{code(file.path)} ({file.state})", "", f"{mark}diff", *(printable(line) for line in file.lines), mark, "")
    yield from _fold(f"{plain(change.name)}: {'1 file' if len(change.files) == 1 else f'{len(change.files)} files'}", lines[:-1])


def _fence(lines: Iterable[str]) -> str:
    """A code fence that no line of the text can close."""
    longest = max((len(run) for line in lines for run in re.findall("`+", line)), default=0)
    return "`" * max(3, longest + 1)


def code(text: str) -> str:
    """A code span, safe in a table."""
    text = printable(text).replace("\n", " ").replace("|", "\\|")
    mark = "`" * (max((len(run) for run in re.findall("`+", text)), default=0) + 1)
    pad = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{mark}{pad}{text}{pad}{mark}" if text else ""


def plain(text: str) -> str:
    """Text outside a code span, with markup, mentions, references and addresses escaped."""
    text = printable(text).replace("\n", " ").replace("&", "&amp;").replace("<", "&lt;")
    text = re.sub(r"([\\`*_\[\]|~])", r"\\\1", text)
    return re.sub(r"(?i)([@#](?=\w)|www(?=\.)|:(?=//)|GH(?=-\d))", "\\1\u200b", text)

"""A comparison as Markdown for a single pull-request comment, found again by its marker.

Floor 7, pure. Values go into code spans or fences, so that they cannot become a mention, a link or HTML; the text stays
below GitHub's size limit of a comment.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from generator.compare.model import Change, Comparison
from generator.errors import printable
from generator.report import diff_words as words

MARKER = "<!-- gen-deploy diff -->"
MOST_BYTES = 60_000
"""GitHub refuses comments of more than 65,536 characters."""
MOST_HEAD_BYTES = 50_000
"""The limit of the part before the files: names can be long."""
MOST_CHANGES = 50
MOST_EDITS = 50


def markdown(result: Comparison) -> str:
    """The comment: verdict, changes, edits, and as many folded files as fit."""
    parts: list[str] = []
    size = left_out = 0
    for line in _head(result):
        size += len(line.encode()) + 1
        if size > MOST_HEAD_BYTES:
            parts.append("\nThe rest is left out: the comment would be too long.")
            break
        parts.append(line)
    for block in _files(result):
        size += len(block.encode()) + 1
        if size > MOST_BYTES:
            left_out += 1
        else:
            parts.append(block)
    if left_out:
        parts.append(f"\nThe files of {left_out} more specs are left out: the comment would be too long.")
    return "\n".join(parts)


def _head(result: Comparison) -> Iterator[str]:
    yield MARKER
    yield f"### {words.verdict(result)}"
    yield ""
    yield _rules(result)
    if result.decisive:
        yield from ("", "| spec | before → after | because |", "|---|---|---|")
        for change in result.decisive[:MOST_CHANGES]:
            yield _row(change, result)
        if len(result.decisive) > MOST_CHANGES:
            yield f"| | and {len(result.decisive) - MOST_CHANGES} more | |"
    if result.edits:
        yield from ("", "**Edits of the rules**", "", "| edit | source | effect |", "|---|---|---|")
        for edit in result.edits[:MOST_EDITS]:
            where = f" {code(edit.at)}" if edit.at else ""
            yield f"| {code(words.edit_words(edit))}{where} | {plain(words.authority(edit))} | {plain(words.effect(edit, result))} |"
        if len(result.edits) > MOST_EDITS:
            yield f"| and {len(result.edits) - MOST_EDITS} more | | |"
    others = words.others_line(result)
    if others:
        yield from ("", plain(others[0].upper() + others[1:] + "."))


def _rules(result: Comparison) -> str:
    old, new = result.old, result.new
    if old.digest == new.digest:
        return f"Rules {code(f'{new.name} {new.digest}')} on both sides ({code(old.label)}, {code(new.label)})."
    return f"Rules {code(f'{old.name} {old.digest}')} ({code(old.label)}) → {code(f'{new.name} {new.digest}')} ({code(new.label)})."


def _row(change: Change, result: Comparison) -> str:
    why = "<br>".join(code(line) for line in words.cause_lines(change, result, 3))
    return f"| {code(change.name)} | {code(words.headline(change))} | {why} |"


def _files(result: Comparison) -> Iterator[str]:
    line = words.files_line(result)
    if line is None:
        return
    yield f"\n{line[0].upper()}{line[1:]}."
    for change in result.changes:
        if change.files:
            yield "\n".join(_folded(change))


def _folded(change: Change) -> Iterator[str]:
    files = "1 file" if len(change.files) == 1 else f"{len(change.files)} files"
    yield from ("", f"<details><summary>{plain(change.name)}: {files}</summary>", "")
    for file in change.files:
        mark = _fence(file.lines)
        yield from (f"{code(file.path)} ({file.state})", "", f"{mark}diff", *(printable(line) for line in file.lines), mark, "")
    yield "</details>"


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

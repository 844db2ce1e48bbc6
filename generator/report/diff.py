"""A comparison in each of its formats; what a terminal and a comment say stands in `templates/diff/`.

Floor 7, pure. Every value may come from a pull request."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from itertools import zip_longest
from typing import Any

from generator.compare.model import LEVELS, Comparison
from generator.errors import one_line, printable
from generator.render.markdown import cell, short
from generator.render.templates import render
from generator.report import diff_words as words
from generator.report.diff_words import LISTED, Group, as_told, groups, outcomes, plain, said
from generator.report.findings import command

FORMATS = ("text", "markdown", "json", "github")
SCHEMA_VERSION = 1
MARKER = "<!-- gen-deploy diff -->"
"""How the comment is found again."""
MOST_BYTES = 60_000
"""GitHub refuses comments of more than 65,536 characters."""
MOST_HEAD_BYTES = 50_000
"""The limit of the part before the files: names can be long."""
MOST_LINES = 60
"""What a screen shows: more files are left out of a comment, except with `-v`."""


def report(result: Comparison, form: str, verbose: bool = False) -> str:
    """A comparison in one of `FORMATS`, without the last line end."""
    if form == "json":
        return json.dumps(data_of(result), indent=2, ensure_ascii=False, default=str)
    if form == "github":
        return "\n".join(workflow_commands(result))
    if form == "markdown":
        return markdown(result, verbose)
    return render("diff/text.j2", **each_text(view(result, verbose), one_line), verbose=verbose).rstrip("\n")


def data_of(result: Comparison, unit: str = "spec") -> dict[str, Any]:
    """A comparison as plain data, for JSON."""
    data: dict[str, Any] = {"schema_version": SCHEMA_VERSION, "verdict": words.verdict(result, unit), **plain(result)}
    data |= {"changed": len({change.spec for change in result.decisive}), "edits_traced": data.pop("traced")}
    data["groups"] = [
        {"edits": list(one[0].edits), "cause": words.cause_of(one, result), "specs": [change.name for change in one]}
        for one in groups(result.decisive)
    ]
    covered = {one["edit"]: one for one in data.pop("coverage")}
    data["changes"] = [{**plain(change), "decisive": change.decisive} for change in result.changes]
    data["edits"] = [{**plain(e), "id": e.id, "changes": result.affected(e), "coverage": covered.get(e.id)} for e in result.edits]
    data["grid"] = data_of(result.grid, words.GRID) if result.grid else None
    return data


def view(result: Comparison, every: bool, unit: str = "spec") -> dict[str, Any]:
    """What the templates read; `every` change on its own, or only those of decisions, many with one cause together."""
    told = [[change] for change in result.changes] if every else as_told(result.decisive)
    return {
        "verdict": words.verdict(result, unit), "old": plain(result.old), "new": plain(result.new), "tool": plain(result.tool),
        "changed": [_group(group, result, every) for group in told],
        "edits": [{"words": said("edit", e), "at": e.at, "authority": said("authority", e), "effect": words.effect(e, result)} for e in result.edits],
        "others": words.others_line(result), "files": words.files_line(result), "kept": words.kept_lines(result),
        "diffs": [{"name": change.name, "files": plain(change.files)} for change in result.changes],
        "grid": view(result.grid, every, words.GRID) if result.grid else None,
    }  # fmt: skip


def _group(group: Group, result: Comparison, every: bool) -> dict[str, Any]:
    first, large = group[0], len(group) > LISTED
    told = [([change.name for change in same], same[0]) for same in outcomes(group)]
    shown = [
        {"count": len(names), "names": names, "listed": said("listed", list(map(short, names))), "head": said("headline", change),
         "cause": next(iter(words.cause_lines(change, result, 1)), "")}
        for names, change in told
    ]  # fmt: skip
    becauses = [" ".join(cause.because.split()) for cause in first.causes]
    return {
        "count": len(group), "large": large, "by": first.by, "cause": words.cause_of(group, result) if large else "",
        "name": short(first.name), "head": said("headline", first, every), "outcomes": shown,
        "causes": [{"line": line, "because": because} for line, because in zip_longest(words.cause_lines(first, result), becauses, fillvalue="")],
        "moved": said("moved", first.moves, True) if None not in (first.old, first.new) and first.old != first.new else "",
    }  # fmt: skip


def each_text(data: Any, say: Callable[[str], str]) -> Any:
    """Data with what `say` makes of every text in it, such as `one_line`, so that no name begins a line of its own."""
    if isinstance(data, dict):
        return {key: each_text(value, say) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [each_text(value, say) for value in data]
    return say(data) if isinstance(data, str) else data


def markdown(result: Comparison, verbose: bool = False) -> str:
    """The comment: verdict, changes by cause, edits, the grid; folded, all outcomes, and as many files as a screen shows (a comment holds, with `verbose`)."""
    parts: list[str] = []
    size = left_out = 0
    for line in render("diff/comment.md.j2", **view(result, every=False), marker=MARKER).rstrip("\n").split("\n"):
        size += len(line.encode()) + 1
        if size > MOST_HEAD_BYTES:
            parts.append("\nThe rest is left out: the comment would be too long.")
            break
        parts.append(line)
    lines = len(parts)
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


def _files(result: Comparison) -> Iterator[str]:
    changes = [change for change in result.changes if change.files]
    if line := words.files_line(result):
        yield f"\n{line[0].upper()}{line[1:]}."
    for change in changes:
        title = f"{escaped(change.name)}: {'1 file' if len(change.files) == 1 else f'{len(change.files)} files'}"
        blocks = []
        for file in change.files:
            longest = max((len(run) for line in file.lines for run in re.findall("`+", line)), default=0)
            fence = "`" * max(3, longest + 1)  # no line of the text can close it
            blocks += ["", f"{cell(file.path)} ({file.state})", "", f"{fence}diff", *map(printable, file.lines), fence]
        yield "\n".join(["", f"<details><summary>{title}</summary>", *blocks, "", "</details>"])


def escaped(text: str) -> str:
    """Text of a summary, with markup, mentions, references and addresses escaped."""
    text = printable(text).replace("\n", " ").replace("&", "&amp;").replace("<", "&lt;")
    text = re.sub(r"([\\`*_\[\]|~])", r"\\\1", text)
    return re.sub(r"(?i)([@#](?=\w)|www(?=\.)|:(?=//)|GH(?=-\d))", "\\1\u200b", text)


def workflow_commands(result: Comparison) -> Iterator[str]:
    """Annotations at the edited lines of the rules, and at the changed specs; the verdict comes last."""
    for group in as_told(result.decisive):
        change = group[0]
        kind = "error" if change.level == LEVELS[0] else "warning"
        more = [f"and {len(group) - 1} more specs, {words.cause_of(group, result)}"] if len(group) > LISTED else []
        message = "\n".join([f"{change.name}: {said('headline', change)}", *words.cause_lines(change, result), *more])
        yield command(kind, message, file=change.spec, line="1", title="gen-deploy diff")
    for edit in result.edits:
        file, _, line = edit.at.rpartition(":")
        place = {"file": file, "line": line} if file and line.isdigit() else {}
        yield command("notice", f"{said('edit', edit)}: {words.effect(edit, result)}", **place, title="rules edited")
    if result.grid is not None:
        yield command("notice", words.verdict(result.grid, words.GRID), title="gen-deploy diff, grid")
    for line in words.kept_lines(result):
        yield command("notice", line, title="gen-deploy.lock")
    yield command("notice", words.verdict(result), title="gen-deploy diff")

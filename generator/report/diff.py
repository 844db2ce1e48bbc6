"""A comparison in each of its formats, and its changes by their common cause; what a terminal and a comment say stands in `templates/diff/`.

Floor 7, pure. Phrases are not escaped for a format; every value may come from a pull request."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import fields, is_dataclass
from itertools import zip_longest
from typing import Any

from generator.compare.model import DECISIVE, LEVELS, Change, Comparison, Edit
from generator.errors import one_line, printable
from generator.quantity import grouped
from generator.render.markdown import cell, short
from generator.render.templates import phrase, render
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
    data: dict[str, Any] = {"schema_version": SCHEMA_VERSION, "verdict": verdict(result, unit), **plain(result)}
    data |= {"changed": len({change.spec for change in result.decisive}), "edits_traced": data.pop("traced")}
    data["groups"] = [
        {"edits": list(one[0].edits), "cause": cause_of(one, result), "specs": [change.name for change in one]}
        for one in groups(result.decisive)
    ]
    covered = {one["edit"]: one for one in data.pop("coverage")}
    data["changes"] = [{**plain(change), "decisive": change.decisive} for change in result.changes]
    data["edits"] = [{**plain(e), "id": e.id, "changes": result.affected(e), "coverage": covered.get(e.id)} for e in result.edits]
    data["grid"] = data_of(result.grid, GRID) if result.grid else None
    return data


def view(result: Comparison, every: bool, unit: str = "spec") -> dict[str, Any]:
    """What the templates read; `every` change on its own, or only those of decisions, many with one cause together."""
    told = [[change] for change in result.changes] if every else as_told(result.decisive)
    return {
        "verdict": verdict(result, unit), "old": plain(result.old), "new": plain(result.new), "tool": plain(result.tool),
        "changed": [_group(group, result, every) for group in told],
        "edits": [{"words": said("edit", e), "at": e.at, "authority": said("authority", e), "effect": effect(e, result)} for e in result.edits],
        "others": others_line(result), "files": files_line(result), "kept": kept_lines(result),
        "diffs": [{"name": change.name, "files": plain(change.files)} for change in result.changes],
        "grid": view(result.grid, every, GRID) if result.grid else None,
    }  # fmt: skip


def _group(group: Group, result: Comparison, every: bool) -> dict[str, Any]:
    first, large = group[0], len(group) > LISTED
    told = [([change.name for change in same], same[0]) for same in outcomes(group)]
    shown = [
        {"count": len(names), "names": names, "listed": said("listed", list(map(short, names))), "head": said("headline", change),
         "cause": next(iter(cause_lines(change, result, 1)), "")}
        for names, change in told
    ]  # fmt: skip
    becauses = [" ".join(cause.because.split()) for cause in first.causes]
    return {
        "count": len(group), "large": large, "by": first.by, "cause": cause_of(group, result) if large else "",
        "name": short(first.name), "head": said("headline", first, every), "outcomes": shown,
        "causes": [{"line": line, "because": because} for line, because in zip_longest(cause_lines(first, result), becauses, fillvalue="")],
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
    if line := files_line(result):
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
        more = [f"and {len(group) - 1} more specs, {cause_of(group, result)}"] if len(group) > LISTED else []
        message = "\n".join([f"{change.name}: {said('headline', change)}", *cause_lines(change, result), *more])
        yield command(kind, message, file=change.spec, line="1", title="gen-deploy diff")
    for edit in result.edits:
        file, _, line = edit.at.rpartition(":")
        place = {"file": file, "line": line} if file and line.isdigit() else {}
        yield command("notice", f"{said('edit', edit)}: {effect(edit, result)}", **place, title="rules edited")
    if result.grid is not None:
        yield command("notice", verdict(result.grid, GRID), title="gen-deploy diff, grid")
    for line in kept_lines(result):
        yield command("notice", line, title="gen-deploy.lock")
    yield command("notice", verdict(result), title="gen-deploy diff")


GRID = "deployment"
"""The word for a spec of the grid."""
LISTED = 5
"""Changes of one cause that are told one by one; more are told together."""

Group = Sequence[Change]
"""Changes with one cause, most severe first: the same edits of the rules, else the same row, else an edited spec."""


def plain(thing: Any) -> Any:
    """Data classes and named tuples as mappings by field, at any depth."""
    if is_dataclass(thing):
        return {field.name: plain(getattr(thing, field.name)) for field in fields(thing)}
    if hasattr(thing, "_asdict"):
        return {name: plain(value) for name, value in thing._asdict().items()}
    return [plain(one) for one in thing] if isinstance(thing, list | tuple) else thing


def said(macro: str, *values: object) -> str:
    """A phrase about parts of a comparison."""
    return phrase("diff/words.j2", macro, *map(plain, values))


def verdict(result: Comparison, unit: str = "spec") -> str:
    """The summary: how many specs decide differently and how, and what all decisions come to."""
    levels, totals = _levels(result.decisive), plain(result.totals)
    text = render(
        "diff/verdict.j2", unit=unit, specs=result.specs, unplanned=result.unplanned, changed=sum(levels.values()), levels=levels, totals=totals
    )
    return " ".join(text.split())


def _levels(changes: Iterable[Change]) -> dict[str, int]:
    """How many specs have each level as their most severe one (changes are sorted by severity)."""
    worst: dict[str, str] = {}
    for change in changes:
        worst.setdefault(change.spec, change.level)
    return dict(Counter(worst.values()))


def others_line(result: Comparison) -> str:
    """Informational changes, and added and removed specs, in a line."""
    counts = {level: count for level, count in _levels(result.changes).items() if LEVELS.index(level) > DECISIVE}
    return said("others", counts, result.added, result.removed, result.unplanned)


def files_line(result: Comparison) -> str:
    """The number of changed files and lines."""
    return said("files", [file for change in result.changes for file in change.files], len({change.spec for change in result.changes if change.files}))


def cause_lines(change: Change, result: Comparison, most: int | None = None) -> list[str]:
    """The rows behind a change; the first line names the edits that no row mentions."""
    causes = change.causes[:most]
    told = {move.key for cause in causes for move in cause.read} | {cause.row for cause in causes}
    named = _by(edit for edit in result.edits if edit.id in change.edits and edit.name not in told)
    if not causes:
        return [named] if named else []
    return [said("cause", cause, "" if i else named) for i, cause in enumerate(causes)]


def _by(edits: Iterable[Edit]) -> str:
    words = [said("edit", edit) for edit in edits]
    return f"by {said('listed', words, 3)}" if words else ""


def cause_of(group: Group, result: Comparison) -> str:
    """The common cause of a large group: the edits behind it, else the row of its first change."""
    first = group[0]
    lines = [_by(edit for edit in result.edits if edit.id in first.edits), *cause_lines(first, result, 1), said("edited_words", first.by)]
    return next(filter(None, lines), "cause unknown")


def effect(edit: Edit, result: Comparison) -> str:
    """The effect of an edit: the specs it changes, or none; and how many specs its row is about, in the grid too."""
    grid, figures = result.grid, any(edit.id in change.edits for change in result.changes)
    in_grid = {"count": len(grid.affected(edit)), "about": _covered(edit, grid, GRID)} if grid is not None else None
    return said("effect", edit, result.affected(edit), figures, result.traced, _covered(edit, result, "spec"), in_grid)


def _covered(edit: Edit, result: Comparison, unit: str) -> str:
    """How many of the specs that a changed row asks for did change; nothing where it asks nothing of a spec."""
    found = next((one for one in result.coverage if one.edit == edit.id), None)
    return said("covered", found, len(set(result.affected(edit)) & set(found.specs)), unit) if found is not None else ""


def kept_lines(result: Comparison) -> list[str]:
    """What the lock keeps against the rules, and what it cannot keep: a line each, that begins with `kept:`, `kept as before:` or `not kept:`."""
    return [line.strip() for line in render("diff/kept.j2", kept=plain(result.kept)).splitlines() if line.strip()]


def groups(changes: Sequence[Change]) -> list[list[Change]]:
    """The changes by cause; the order is that of the most severe change of each."""
    return grouped(changes, _cause)


def as_told(changes: Sequence[Change]) -> list[list[Change]]:
    """The large groups, and each other change on its own, in the order of the changes."""
    told = [part for group in groups(changes) for part in ([group] if len(group) > LISTED else [[change] for change in group])]
    return sorted(told, key=lambda group: changes.index(group[0]))


def outcomes(group: Group) -> list[list[Change]]:
    """The changes of a group by outcome, the most frequent first within a level."""
    alike = grouped(group, lambda change: (change.level, change.old, change.new, str(change.moves[:1]) if change.old == change.new else ""))
    return sorted(alike, key=lambda changes: (LEVELS.index(changes[0].level), -len(changes)))


def _cause(change: Change) -> tuple[object, ...]:
    first = change.causes[0] if change.causes else None
    return (change.edits,) if change.edits else (change.by, first and (first.table, first.row, first.did))

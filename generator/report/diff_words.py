"""The changes of a comparison by their common cause, and its phrases, shared by its formats; their wording stands in `templates/diff/words.j2`.

Floor 7, pure. Nothing here is escaped for a format; every value may come from a pull request."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

from generator.compare.model import DECISIVE, LEVELS, Change, Comparison, Edit
from generator.quantity import grouped
from generator.render.templates import phrase, render

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

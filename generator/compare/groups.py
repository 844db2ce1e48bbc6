"""The changes of a comparison by their common cause. Floor 7, pure."""

from __future__ import annotations

from collections.abc import Sequence

from generator.compare.model import LEVELS, Change
from generator.quantity import grouped

LISTED = 5
"""Changes of one cause that are told one by one; more are told together."""

Group = Sequence[Change]
"""Changes with one cause, most severe first: the same edits of the rules, else the same row, else an edited spec."""


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

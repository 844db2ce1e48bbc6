"""The changes of a comparison by their common cause. Floor 7, pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from generator.compare.model import LEVELS, Change

LISTED = 5
"""Changes of one cause that are told one by one; more are told together."""


class Group(NamedTuple):
    """Changes with one cause, most severe first: the same edits of the rules, else the same row, else an edited spec."""

    changes: tuple[Change, ...]

    @property
    def large(self) -> bool:
        """Whether its changes are told together."""
        return len(self.changes) > LISTED

    def outcomes(self) -> list[tuple[Change, tuple[str, ...]]]:
        """The different outcomes, most frequent first within a level: an example of each, and the names of its specs."""
        found: dict[tuple[object, ...], list[Change]] = {}
        for change in self.changes:
            same = () if change.old != change.new else (str(change.moves[:1]),)
            found.setdefault((LEVELS.index(change.level), change.old, change.new, *same), []).append(change)
        ordered = sorted(found.values(), key=lambda changes: (LEVELS.index(changes[0].level), -len(changes)))
        return [(changes[0], tuple(change.name for change in changes)) for changes in ordered]


def groups(changes: Iterable[Change]) -> list[Group]:
    """The changes by cause; the order is that of the most severe change of each."""
    found: dict[tuple[object, ...], list[Change]] = {}
    for change in changes:
        found.setdefault(_cause(change), []).append(change)
    return [Group(tuple(same)) for same in found.values()]


def as_told(changes: Iterable[Change]) -> list[Group]:
    """The large groups, and each other change on its own, in the order of the changes."""
    every = list(changes)
    large = {_cause(group.changes[0]): group for group in groups(every) if group.large}
    alone = [change for change in every if _cause(change) not in large]
    return sorted([*large.values(), *(Group((change,)) for change in alone)], key=lambda group: every.index(group.changes[0]))


def _cause(change: Change) -> tuple[object, ...]:
    first = change.causes[0] if change.causes else None
    return (change.edits,) if change.edits else (change.by, first and (first.table, first.row, first.did))

"""The words of a comparison: plain data that can be printed, written as JSON, and sent between processes.

Floor 7, pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

LEVELS = (
    "no-longer-fits", "now-fits", "engine", "method", "gpus", "settings", "figures", "warnings", "wording",
)  # fmt: skip
"""How much a change matters, gravest first."""

DECISIVE = LEVELS.index("settings")
"""Changes up to this level are decisions and settings; what follows is for information."""


class Move(NamedTuple):
    """One word of a decision, before and after; None where it is not set."""

    key: str
    old: object
    new: object


@dataclass(frozen=True, slots=True)
class Edit:
    """One thing that was edited in the rules: a threshold, a row of a table, or an entry of the facts.

    `section` is `thresholds`, `tables/NAME` or a section of facts; `action` added, removed, changed or moved; `fields`
    what changed in it; `decisive` whether it can change a decision at all (a source or a reason cannot).
    """

    section: str
    name: str
    action: str
    fields: tuple[Move, ...]
    decisive: bool
    at: str = ""
    source: str | None = None
    checked: str | None = None
    unit: str | None = None

    @property
    def id(self) -> str:
        """The edit's identity: section and name."""
        return f"{self.section}/{self.name}"


@dataclass(frozen=True, slots=True)
class Cause:
    """A row that brought a change about: what it does to what, and what it reads, before and after.

    `did` is rejects, no-longer-rejects, prefers, sets, no-longer-sets, or considers.
    """

    table: str
    row: str
    did: str
    what: str
    read: tuple[Move, ...] = ()
    because: str = ""
    at: str = ""


class FileDiff(NamedTuple):
    """One generated file: its path below the spec's folder, and the unified diff (empty where it is new or gone)."""

    path: str
    state: str
    lines: tuple[str, ...]
    added: int
    removed: int


@dataclass(frozen=True, slots=True)
class Change:
    """One spec that decides differently.

    `by` is `rules` (the same spec under other rules) or `spec` (an edited spec under the new rules). `old` and `new` are
    the chosen candidates in a few words (None: nothing fits, or the spec cannot be planned, as `problem` says).
    """

    name: str
    spec: str
    level: str
    by: str
    old: str | None
    new: str | None
    moves: tuple[Move, ...] = ()
    causes: tuple[Cause, ...] = ()
    edits: tuple[str, ...] = ()
    files: tuple[FileDiff, ...] = ()
    problem: str | None = None

    @property
    def decisive(self) -> bool:
        """Whether a decision or a setting changed."""
        return LEVELS.index(self.level) <= DECISIVE


@dataclass(frozen=True, slots=True)
class RulesName:
    """A side of the comparison: where it comes from, the rule set's name and digest."""

    label: str
    name: str
    digest: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """Everything that a report prints. `traced` is False where there were too many edits to try each on its own."""

    old: RulesName
    new: RulesName
    specs: int
    changes: tuple[Change, ...]
    edits: tuple[Edit, ...]
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    unplanned: int = 0
    traced: bool = True

    @property
    def decisive(self) -> tuple[Change, ...]:
        """The changes of decisions and settings."""
        return tuple(change for change in self.changes if change.decisive)

    def affected(self, edit: Edit) -> list[str]:
        """Names of the specs whose decision or settings an edit changes."""
        return list(dict.fromkeys(c.name for c in self.decisive if edit.id in c.edits))


def in_order(changes: list[Change]) -> list[Change]:
    """Gravest first, then by name."""
    return sorted(changes, key=lambda c: (LEVELS.index(c.level), c.name, c.by))

"""Data types of a comparison: plain data for printing, JSON, and transfer between processes. Floor 7, pure."""

from __future__ import annotations

from typing import NamedTuple

from generator.record import dataclass

LEVELS = (
    "no-longer-fits", "now-fits", "engine", "method", "gpus", "settings", "figures", "warnings", "wording",
)  # fmt: skip
"""Levels of a change, most severe first."""

DECISIVE = LEVELS.index("settings")
"""Changes up to this level are decisions and settings; later levels are informational."""


class Move(NamedTuple):
    """One value of a decision, before and after; None if not set."""

    key: str
    old: object
    new: object


@dataclass(frozen=True, slots=True)
class Edit:
    """One edit of the rules: a threshold, a row of a table, or an entry of the facts.

    `section` is `thresholds`, `tables/NAME` or a section of facts; `action` added, removed, changed or moved; `fields`
    the changed fields; `decisive` whether it can change a decision at all (a source or a reason cannot)."""

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
    """A row that caused a change: its effect, and the facts it read before and after.

    `did` is rejects, no-longer-rejects, prefers, sets, no-longer-sets, or considers."""

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
    """One spec with a changed decision.

    `by` is `rules` (the same spec under other rules), `spec` or `lock` (an edited spec or lock under the new rules), or `tool` (what
    the base has committed is not what this version decides for it). `old` and `new` are
    short descriptions of the chosen candidates (None: nothing fits, or the spec cannot be planned; see `problem`)."""

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
    """A side of the comparison: its origin, the rule set's name and digest."""

    label: str
    name: str
    digest: str


class Totals(NamedTuple):
    """All decisions together, before and after: GPUs, worst quality loss in percent, cost per hour of those with a price.

    `worst` is the spec with the worst loss now, `missed` are the specs that newly miss an objective, `priced` how many have a price."""

    gpus: tuple[int, int]
    loss: tuple[float | None, float | None]
    worst: str
    missed: tuple[str, ...]
    cost: tuple[float, float] | None
    priced: int
    currency: str


class Tool(NamedTuple):
    """What wrote the files that a base has committed, and what decides now: versions (None: not recorded), and digests of rules.

    `label` names the base."""

    label: str
    old: str | None
    new: str
    rules: tuple[str | None, str]


class Kept(NamedTuple):
    """A spec whose choice in the lock is not that of the rules: `newer` (it stays) or `refused` (it cannot).

    `says` is what the rules would choose, or the rows against it; `before` whether the base said so already; `files` the changes
    of launch files although the choice stays (None: not compared)."""

    name: str
    state: str
    says: str
    before: bool
    files: tuple[FileDiff, ...] | None


class Coverage(NamedTuple):
    """The specs that match what a changed row asks of a spec (`cells`); `unset` are labels in it that no spec has."""

    edit: str
    cells: tuple[tuple[str, object], ...]
    specs: tuple[str, ...]
    unset: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """All data of a report. `traced` is False if there were too many edits to test each one separately.

    `grid` is the same comparison over the built-in grid, if asked for."""

    old: RulesName
    new: RulesName
    specs: int
    changes: tuple[Change, ...]
    edits: tuple[Edit, ...]
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    unplanned: int = 0
    traced: bool = True
    totals: Totals | None = None
    coverage: tuple[Coverage, ...] = ()
    grid: Comparison | None = None
    tool: Tool | None = None
    kept: tuple[Kept, ...] = ()

    @property
    def decisive(self) -> tuple[Change, ...]:
        """The changes of decisions and settings."""
        return tuple(change for change in self.changes if change.decisive)

    def affected(self, edit: Edit) -> list[str]:
        """Names of the specs with a decision or setting changed by an edit."""
        return list(dict.fromkeys(c.name for c in self.decisive if edit.id in c.edits))


def in_order(changes: list[Change]) -> list[Change]:
    """Most severe first, then by name."""
    return sorted(changes, key=lambda c: (LEVELS.index(c.level), c.name, c.by))

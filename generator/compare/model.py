"""Data types of a comparison, plain data for printing, JSON, and transfer between processes; and the comparable form of a plan, identical for a
new decision and for a stored `plan.json`. Floor 7, pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import prod
from typing import Any, NamedTuple

from generator.plan import Plan
from generator.record import dataclass
from generator.render.plan_json import kept
from generator.report.speed import Price

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


View = Mapping[str, Any]

LAYOUT = ("tensor_parallel", "pipeline_parallel", "replicas")
METHOD = ("quantization", "checkpoint", "gguf_file", "bits", "group_size", "weights", "revision")
ENGINE = ("engine", "engine_version", "back_end")
FIGURES = ("memory", "kv_cache", "performance", "quality")
MISSED = "objective-missed"
"""The warning of a choice that misses an objective of its spec."""


def view(plan: Plan) -> View:
    """The comparable form of a plan."""
    return view_of_json(kept(plan))


def view_of_json(data: View) -> View:
    """The comparable form of a `plan.json`, of this or an older version of the tool."""
    choice = data.get("choice")
    return {
        "choice": choice,
        "gpu": ((data.get("spec") or {}).get("hardware") or {}).get("gpu"),
        **{name: data.get(name) for name in (*FIGURES, "rule_of_thumb") if choice},
        "alternatives": [f"{words(one)} · context {one.get('max_model_len')} × {one.get('max_num_seqs')}" for one in data.get("alternatives") or []],
        "rejected": data.get("rejected") or {},
        "warnings": data.get("warnings") or [],
        "trace": data.get("trace") or [],
    }


def level(old: View | None, new: View | None) -> str | None:
    """The level of difference between two plans of a spec, one of `LEVELS`; None: no difference. A missing plan means that nothing fits."""
    one, other = (old or {}).get("choice"), (new or {}).get("choice")
    if not one or not other:
        if one:
            return "no-longer-fits"
        if other:
            return "now-fits"
    else:
        moved = {move.key.split(".")[0] for move in moves(one, other)}
        for name, keys in (("engine", ENGINE), ("method", METHOD), ("gpus", LAYOUT)):
            if moved & set(keys):
                return name
        if moved:
            return "settings"
    old, new = old or {}, new or {}
    if any(old.get(name) != new.get(name) for name in FIGURES):
        return "figures"
    if _ids(old) != _ids(new):
        return "warnings"
    return "wording" if dict(old) != dict(new) else None


def _ids(one: View) -> list[str]:
    return [warning.get("id") for warning in one.get("warnings") or []]


def decisive(name: str | None) -> bool:
    """Whether a level concerns decisions or settings."""
    return name is not None and LEVELS.index(name) <= DECISIVE


def moves(old: View, new: View) -> list[Move]:
    """The changed values of a choice, engine and method first; settings that only repeat such a value are left out.

    A key that an older version of the tool did not write is no change."""
    keys = [key for key in (old or new) if key != "settings"]
    plain = [Move(key, old.get(key), new.get(key)) for key in keys]
    found = [move for move in plain if move.old != move.new]
    one, other = old.get("settings") or {}, new.get("settings") or {}
    told = {(move.key, str(move.new)) for move in found}
    for key in dict.fromkeys([*one, *other]):
        if one.get(key) != other.get(key) and (key, str(other.get(key))) not in told:
            found.append(Move(f"settings.{key}", one.get(key), other.get(key)))
    return found


def other_moves(old: View, new: View) -> list[Move]:
    """For plans of the same decision: changed figures, warnings, runners-up and reasons."""
    found = [Move(f"memory.{k}", a, b) for k, a, b in pairs(old.get("memory"), new.get("memory")) if a != b]
    gone, come = set(_ids(old)) - set(_ids(new)), set(_ids(new)) - set(_ids(old))
    found += [*(Move("warning", name, None) for name in sorted(gone)), *(Move("warning", None, name) for name in sorted(come))]
    one, other = old.get("alternatives") or [], new.get("alternatives") or []
    found += [Move("runner-up", name, None) for name in one if name not in other]
    found += [Move("runner-up", None, name) for name in other if name not in one]
    found += [Move("runners-up", "their order", "another")] if one != other and sorted(one) == sorted(other) else []
    return [*found, *(Move(f"rejected.{row}", a or 0, b or 0) for row, a, b in pairs(old.get("rejected"), new.get("rejected")) if a != b)]


def pairs(one: Mapping[str, object] | None, other: Mapping[str, object] | None) -> list[tuple[str, object, object]]:
    """The values of two mappings by key, None where one lacks it."""
    return [(key, (one or {}).get(key), (other or {}).get(key)) for key in dict.fromkeys([*(one or {}), *(other or {})])]


def words(choice: View | None) -> str | None:
    """A short description of a choice: engine and version, method, parallelism."""
    if not choice:
        return None
    parts = [f"{choice.get('engine')} {choice.get('engine_version')}", str(choice.get("quantization")), f"tp {choice.get('tensor_parallel')}"]
    if choice.get("pipeline_parallel", 1) > 1:
        parts.append(f"pp {choice['pipeline_parallel']}")
    if choice.get("replicas", 1) > 1:
        parts.append(f"{choice['replicas']} replicas")
    return " · ".join(parts)


class Figures(NamedTuple):
    """One decision: its GPUs, its quality loss in percent, whether it misses an objective, and its cost per hour; None if unknown."""

    gpus: int = 0
    loss: float | None = None
    missed: bool = False
    cost: float | None = None


def figures(plan: View | None, prices: Mapping[str, Price]) -> Figures:
    """The figures of a plan; nothing where nothing fits."""
    choice = (plan or {}).get("choice")
    if plan is None or not choice:
        return Figures()
    gpu = plan.get("gpu")
    gpus = 0 if gpu == "cpu" else prod(choice.get(key) or 1 for key in LAYOUT)
    price = prices.get(gpu) if isinstance(gpu, str) else None
    loss = ((plan.get("quality") or {}).get("loss_percent") or {}).get("value")
    missed = any(warning.get("id") == MISSED for warning in plan.get("warnings") or [])
    return Figures(gpus, loss, missed, price["per_gpu_hour"] * gpus if price else None)


def totals(found: Iterable[tuple[str, Figures, Figures]], prices: Mapping[str, Price]) -> Totals:
    """The sums over the specs, each with its name and its figures before and after; one file of prices has one currency."""
    rows = list(found)
    losses = [[(figure.loss, name) for name, *both in rows if (figure := both[side]).loss is not None] for side in (0, 1)]
    priced = [(old.cost, new.cost) for _, old, new in rows if old.cost is not None or new.cost is not None]
    worst = [max(side, key=lambda pair: pair[0] or 0.0, default=(None, "")) for side in losses]
    return Totals(
        gpus=(sum(old.gpus for _, old, _ in rows), sum(new.gpus for _, _, new in rows)),
        loss=(worst[0][0], worst[1][0]),
        worst=worst[1][1],
        missed=tuple(name for name, old, new in rows if new.missed and not old.missed),
        cost=(sum(old or 0.0 for old, _ in priced), sum(new or 0.0 for _, new in priced)) if priced else None,
        priced=len(priced),
        currency=next((price["currency"] for price in prices.values()), ""),
    )

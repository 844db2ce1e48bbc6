"""Comparison of rows: unreachable rows, redundant rows, conflicts on a key, and gaps. Floor 1, pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations, product, takewhile
from typing import TYPE_CHECKING

from generator.errors import Problem
from generator.rulebook.lint.cells import MOST_STEPS, Box, Dimension, Space, TooMuch, Values
from generator.rulebook.overlay import Gathered
from generator.rulebook.rules_check import catalogue_words, place_at

if TYPE_CHECKING:  # every start would pay for building the types
    from generator.rulebook.sections import Row

FIT_NEEDS = {
    "detailed": ("kv_cache_dtype", "max_num_batched_tokens", "batched_tokens_least", "sequences_most"),
    "rule-of-thumb": ("kv_cache_dtype", "max_num_batched_tokens"),
}
"""The keys that fitting needs from the `fit` rows, by sizing method."""
WORKLOAD_NEEDS = ("concurrency", "input_tokens", "output_tokens", "max_context")


class Rows:
    """The rows of a rule set with the facts each one matches."""

    def __init__(self, gathered: Gathered) -> None:
        merged = gathered.merged
        self.gathered, self.tables = gathered, merged["tables"]
        named = {entry["from"] for entry in merged["names"].values() if "from" in entry}
        cells = [cell for table in self.tables.values() for row in table["rows"] for cell in (row.get("when") or {}).items()]
        self.space = Space(merged["names"], {word: catalogue_words(merged, word) for word in named}, merged["thresholds"], cells)
        self._boxes: dict[tuple[str, str], list[dict[Dimension, Values]]] = {}

    def boxes(self, table: str, row: Row) -> list[dict[Dimension, Values]]:
        """The non-empty boxes of facts that a row matches. Raises `TooMuch`."""
        key = (table, row["id"])
        if key not in self._boxes:
            self._boxes[key] = [box for box in self.space.boxes(row.get("when") or {}) if not self.space.empty(box)]
        return self._boxes[key]


def table_findings(gathered: Gathered) -> Iterator[Problem]:
    """All findings for the tables of a valid rule set."""
    rows = Rows(gathered)
    for name, table in rows.tables.items():
        yield from _within_steps(rows, name, _proofs(rows, name, table["rows"]))
    yield from _within_steps(rows, "workload", _gaps(rows))


def _within_steps(rows: Rows, table: str, proofs: Iterator[Problem]) -> Iterator[Problem]:
    """The findings of a table's proofs, and a final one if they exceed the step limit."""
    rows.space.steps = MOST_STEPS
    try:
        yield from proofs
    except TooMuch:
        count = len(rows.tables[table]["rows"])
        message = f"`{table}` is only partly checked: its {count} rows need more than {MOST_STEPS:,} comparisons; use fewer rows, or shorter lists"
        yield Problem("too-many-rows", message, place_at(rows.tables[table]["at"]))


def _proofs(rows: Rows, name: str, found: Sequence[Row]) -> Iterator[Problem]:
    yield from _unreachable(rows, name, found)
    if name == "prefer":
        yield from _twice(rows, found)
        if rows.gathered.merged["ruleset"].get("sizing", "detailed") == "detailed":
            yield from _unordered(rows, found)
    elif name != "fits":  # its rows are criteria too, but of models
        yield from _conflicts(rows, name, found)
        yield from _redundant(rows, name, found)


def _unreachable(rows: Rows, table: str, found: Sequence[Row]) -> Iterator[Problem]:
    for row in found:
        if not rows.boxes(table, row):
            empty = [name for name, cell in row["when"].items() if all(rows.space.empty(box) for box in rows.space.boxes({name: cell}))]
            name = empty[0] if empty else next(iter(row["when"]))
            yield Problem("unreachable-row", f"{row['id']!r} can never match: its cell accepts no value of {name}", rows.gathered.in_row(row, "when", name))


def _conflicts(rows: Rows, table: str, found: Sequence[Row]) -> Iterator[Problem]:
    for one, other in combinations([row for row in found if row.get("set")], 2):
        rows.space.spend()
        keys = [key for key in one["set"] if key in other["set"] and not _same(one["set"][key], other["set"][key])]
        if not keys:
            continue
        pairs = product(rows.boxes(table, one), rows.boxes(table, other))
        both = next((both for a, b in pairs if (both := rows.space.overlap(a, b)) is not None), None)
        if both is not None:
            values = f"{one['set'][keys[0]]!r} and {other['set'][keys[0]]!r}"
            when = rows.space.example(both) or "always"
            message = f"{one['id']!r} and {other['id']!r} both set {keys[0]}, to {values}, and can match together ({when})"
            yield Problem("rows-differ", message, rows.gathered.in_row(other, "set", keys[0], key=True))


def _same(one: object, other: object) -> bool:
    return bool(one == other) and isinstance(one, bool) is isinstance(other, bool)


def _redundant(rows: Rows, table: str, found: Sequence[Row]) -> Iterator[Problem]:
    """A redundant reason (another row always gives it too), or a settings row without an effect of its own."""
    own = rows.gathered.own
    for row in (row for row in found if row["at"].rpartition(":")[0] in own):
        for other in found:
            rows.space.spend()
            if other is row or not rows.boxes(table, row) or not _covers(rows, table, other, row):
                continue
            again = _covers(rows, table, row, other)
            if again and found.index(other) > found.index(row):
                continue
            if table in ("reject", "warn") and (again or table == "reject"):
                what = "matches the same as" if again else "matches only candidates already rejected by"
                yield Problem("shadowed-row", f"{row['id']!r} {what} {other['id']!r}", rows.gathered.in_row(row, "when", key=True), "warning")
                break
            mine = row.get("set") or {}
            if table not in ("reject", "warn") and all(key in other["set"] and _same(value, other["set"][key]) for key, value in mine.items()):
                message = f"{row['id']!r} is redundant: {other['id']!r} sets the same wherever it matches"
                yield Problem("shadowed-row", message, rows.gathered.in_row(row, "set", key=True), "warning")
                break


def _covers(rows: Rows, table: str, wide: Row, narrow: Row) -> bool:
    return not rows.space.left(rows.boxes(table, narrow), rows.boxes(table, wide))


def _unordered(rows: Rows, found: Sequence[Row]) -> Iterator[Problem]:
    """Methods that no order places for some goal and hardware: the estimates alone would judge their loss."""
    orders = [row for row in takewhile(lambda row: "beyond" not in row, found) if "method" in (row.get("order") or {})]
    needed = rows.space.known({name for row in orders for name in row.get("when") or {}})
    for method in rows.space.words("method"):
        placing = [row for row in orders if method in _places(row["order"]["method"])]
        left = rows.space.left([needed], [box for row in placing for box in rows.boxes("prefer", row)])
        if left:
            when = rows.space.example(left[0]) or "in general"
            message = f"no row of `prefer` says where {method} stands among the methods ({when})"
            yield Problem("unordered-method", message, place_at(rows.tables["prefer"]["at"]))
            return


def _twice(rows: Rows, found: Sequence[Row]) -> Iterator[Problem]:
    for row in found:
        for name, groups in (row.get("order") or {}).items():
            seen: set[object] = set()
            for i, group in enumerate(groups):
                for word in group if isinstance(group, list) else [group]:
                    if word in seen:
                        place = rows.gathered.in_row(row, "order", name, i)
                        yield Problem("twice-in-order", f"{word!r} appears twice in the order of {row['id']!r}", place)
                    seen.add(word)


def _places(groups: Sequence[object]) -> dict[object, int]:
    return {word: i for i, group in enumerate(groups) for word in (group if isinstance(group, list) else [group])}


def _gaps(rows: Rows) -> Iterator[Problem]:
    profile, goal = ("profile", None), ("goal", None)
    unknown: Values = frozenset({None})
    known = rows.space.known(("profile", "goal"))
    yield from _gap(rows, "workload", "profile", {profile: unknown, goal: unknown})
    yield from _gap(rows, "workload", "profile", {**known, profile: unknown})
    yield from _gap(rows, "workload", "goal", {**known, goal: unknown})
    for key in WORKLOAD_NEEDS:
        yield from _gap(rows, "workload", key, known)
    for key in FIT_NEEDS[rows.gathered.merged["ruleset"].get("sizing", "detailed")]:
        read = {name for row in rows.tables["fit"]["rows"] for name in row.get("when") or {}}
        yield from _gap(rows, "fit", key, {**rows.space.known(read), ("pinned", key): frozenset({False})})


def _gap(rows: Rows, table: str, key: str, needed: Box) -> Iterator[Problem]:
    setting = [row for row in rows.tables[table]["rows"] if key in (row.get("set") or {})]
    left = rows.space.left([needed], [box for row in setting for box in rows.boxes(table, row)])
    if left:
        when = rows.space.example({name: values for name, values in left[0].items() if name[0] != "pinned"}) or "in general"
        yield Problem("gap", f"no row of `{table}` sets {key} ({when})", place_at(rows.tables[table]["at"]))

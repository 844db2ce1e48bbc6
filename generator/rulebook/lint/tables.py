"""Comparison of rows: unreachable rows, redundant rows, conflicts on a key, and gaps. Floor 1, pure. Cells are sets of
values and rows boxes of them: the exact set of facts that a row matches. A name's values are its words (and one that stands for every
other), true and false, or numbers: each number that a cell compares with, and one from between each two of them, as a cell cannot tell
those apart. "No value" is another one. Which of them a cell accepts, its own test says. A name with a set of words (`pinned`) counts as one
boolean dimension per word."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations, pairwise, product, takewhile
from math import ceil, floor, inf, prod
from typing import TYPE_CHECKING

from generator.errors import Problem
from generator.rulebook.overlay import Gathered
from generator.rulebook.rules_check import catalogue_words, place_at
from generator.rulebook.table import cell_test

if TYPE_CHECKING:  # every start would pay for building the types
    from generator.rulebook.sections import Name, Row, Threshold

WHOLE = ("GPU", "stage", "replica", "layer", "count", "node", "token")
"""Units of whole numbers."""

OTHER = "any other"
"""Stands for all words that no cell names."""

MOST_STEPS = 1_000_000
"""Comparisons of two boxes for one table; the shipped tables need a few thousand. Beyond this limit lint would take too long."""

Dimension = tuple[str, str | None]
"""A name, or a name and one of its words."""
Values = frozenset[object]
Box = Mapping[Dimension, Values]
"""The allowed values of each restricted dimension."""

FLAG: Values = frozenset({True, False})


class TooMuch(Exception):
    """The comparisons of one table exceed the step limit."""


class Space:
    """The vocabulary as dimensions. Each table has a budget of `steps`; `TooMuch` is raised when it is used up."""

    def __init__(
        self, names: Mapping[str, Name], entries: Mapping[str, Iterable[str]], thresholds: Mapping[str, Threshold], cells: Iterable[tuple[str, object]]
    ) -> None:
        """`entries` are the words of the catalogue that names take their values from (`from: methods`), `cells` all that are compared."""
        self.names, self.thresholds = names, thresholds
        said: dict[str, set[object]] = {}
        for name, cell in cells:
            said.setdefault(name, set()).update(map(self.bound, _words(cell)) if names[name]["type"] == "number" else _words(cell))
        self.domains = {name: _domain(entry, entries, said.get(name, set())) for name, entry in names.items()}
        self._numbers = {name: sorted(map(float, self.domains[name] - {None})) for name, entry in names.items() if entry["type"] == "number"}  # type: ignore[arg-type]
        self.steps = MOST_STEPS

    def bound(self, limit: object) -> object:
        """The number of a cell's limit."""
        return self.thresholds[limit]["value"] if isinstance(limit, str) and limit != "unknown" else limit

    def spend(self, steps: int = 1) -> None:
        """Use up steps of the budget; raises `TooMuch` beyond it."""
        self.steps -= steps
        if self.steps < 0:
            raise TooMuch

    def domain(self, dimension: Dimension) -> Values:
        """The possible values of a dimension, `None` for no value among them."""
        name, word = dimension
        return self.domains[name] if word is None else FLAG

    def words(self, name: str) -> list[str]:
        """The words that a name may have, as far as they are known."""
        return sorted(word for word in self.domains[name] if isinstance(word, str) and word != OTHER)

    def boxes(self, when: Mapping[str, object]) -> list[dict[Dimension, Values]]:
        """The facts that a row matches, as boxes: several if a cell is a list over a name with a set of words."""
        parts = [self._cell(name, cell) for name, cell in when.items()]
        self.spend(prod(map(len, parts)))
        return [{key: values for part in chosen for key, values in part.items()} for chosen in product(*parts)]

    def _cell(self, name: str, cell: object) -> list[dict[Dimension, Values]]:
        if self.names[name]["type"] == "words":
            words = list(map(str, _words(cell)))
            if isinstance(cell, dict):
                return [{(name, word): frozenset({False}) for word in words}]
            return [{(name, word): frozenset({True})} for word in words]
        self.spend(len(self.domains[name]) // 16)
        if name in self._numbers and isinstance(cell, dict) and "not" not in cell:
            return [{(name, None): self._within(name, cell)}]
        accepts = cell_test(cell, self.bound)
        return [{(name, None): frozenset(value for value in self.domains[name] if accepts(value))}]

    def _within(self, name: str, limits: Mapping[str, object]) -> Values:
        """The numbers within limits, which are neighbours; to test each of them would take minutes in a long table."""
        numbers = self._numbers[name]
        cuts = {key: (bisect_left if key in ("min", "below") else bisect_right)(numbers, self.bound(limit)) for key, limit in limits.items()}  # type: ignore[call-overload]
        ends = [cuts[key] for key in ("below", "max") if key in cuts]
        return frozenset(numbers[max(cuts.get("min", 0), cuts.get("over", 0)) : min(ends, default=len(numbers))])

    # -- boxes

    def empty(self, box: Box) -> bool:
        """Whether a box is empty."""
        return not all(box.values())

    def overlap(self, one: Box, other: Box) -> dict[Dimension, Values] | None:
        """The intersection of two boxes; None if empty."""
        self.spend(1 + sum(map(len, other.values())) // 64)
        both = dict(one)
        for key, values in other.items():
            both[key] = both.get(key, values) & values
        return None if self.empty(both) else both

    def minus(self, box: Box, taken: Box) -> list[dict[Dimension, Values]]:
        """The difference of two boxes, as disjoint boxes."""
        if self.overlap(box, taken) is None:
            return [dict(box)]
        left, inside = [], dict(box)
        for key, values in taken.items():
            here = inside.get(key, self.domain(key))
            if here - values:
                left.append({**inside, key: here - values})
            inside[key] = here & values
        return left

    def left(self, boxes: Iterable[Box], taken: Iterable[Box]) -> list[dict[Dimension, Values]]:
        """The difference of two unions of boxes."""
        rest = [dict(box) for box in boxes if not self.empty(box)]
        for one in taken:
            rest = [part for box in rest for part in self.minus(box, one)]
        return rest

    def known(self, names: Iterable[str]) -> dict[Dimension, Values]:
        """The box in which each of these names has a value."""
        return {(name, None): self.domains[name] - {None} for name in names if self.names[name]["type"] != "words"}

    def example(self, box: Box) -> str:
        """An example combination of a box, in words; names that may have any value are left out."""
        parts = []
        for (name, word), values in box.items():
            if not values >= self.domain((name, word)) - {None}:
                shown = min(map(_shown, values - {None}), default="unknown")
                parts.append(f"{name}{f' with {word}' if word else ''}: {shown}")
        return ", ".join(parts)


def _domain(entry: Name, entries: Mapping[str, Iterable[str]], said: set[object]) -> Values:
    """The values of a name that its cells can tell apart, and `None`."""
    if entry["type"] == "number":
        return frozenset(_numbers([float(word) for word in said if isinstance(word, int | float)], entry.get("unit") in WHOLE))
    if entry["type"] == "flag":
        return FLAG | {None}
    values = entries[entry["from"]] if "from" in entry else entry.get("values")
    return frozenset({*values, None} if values is not None else {*said, OTHER, None})


def _numbers(cuts: list[float], whole: bool) -> Iterable[float | None]:
    """These numbers, and one of each span between them, a whole one where there is one."""
    yield None
    yield from (cut for cut in cuts if not whole or cut.is_integer())
    for low, high in pairwise((-inf, *sorted(set(cuts)), inf)):
        inside = float(floor(low) + 1 if low > -inf else ceil(high) - 1 if high < inf else 0)
        if inside < high:
            yield inside
        elif not whole:
            yield (low + high) / 2


def _words(cell: object) -> Iterable[object]:
    if isinstance(cell, dict):
        return [word for part in cell.values() for word in _words(part)]
    return cell if isinstance(cell, list) else [cell]


def _shown(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value).lower() if isinstance(value, bool) else str(value)


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

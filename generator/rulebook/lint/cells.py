"""Cells as sets of values, and rows as boxes of them: the exact set of facts that a row matches.

Floor 1, pure. A name's values are its words (and one that stands for every other), true and false, or numbers: each number that a
cell compares with, and one from between each two of them, as a cell cannot tell those apart. "No value" is another one. Which of
them a cell accepts, its own test says. A name with a set of words (`pinned`) counts as one boolean dimension per word."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping
from itertools import pairwise, product
from math import ceil, floor, inf, prod
from typing import TYPE_CHECKING

from generator.rulebook.table import cell_test

if TYPE_CHECKING:  # every start would pay for building the types
    from generator.rulebook.sections import Name, Threshold

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

"""Cells as sets of values, and rows as boxes of them: the exact set of facts that a row matches.

Floor 1, pure. A name's values are words (listed, or all except some), true and false, or numbers between bounds;
"no value" is another one. A name with a set of words (`pinned`) counts as one boolean dimension per word.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import ceil, floor, inf, prod
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # every start would pay for building the types
    from generator.rulebook.sections import Name, Threshold

WHOLE = ("GPU", "stage", "replica", "layer", "count", "node", "token")
"""Units of whole numbers."""

MOST_STEPS = 1_000_000
"""Comparisons of two boxes for one table; the shipped tables need a few thousand. Beyond this limit lint would take too long."""

Dimension = tuple[str, object]
"""A name, or a name and one of its words."""


@dataclass(frozen=True, slots=True)
class Words:
    """Words accepted by a cell: the listed ones, or (`but`) all others. `none`: also a name without a value."""

    words: frozenset[object]
    but: bool = False
    none: bool = False

    def empty(self, domain: Domain) -> bool:
        return not self.none and not ((self.but or self.words) if domain.words is None else self._of(domain.words))

    def _of(self, every: frozenset[object]) -> frozenset[object]:
        return every - self.words if self.but else every & self.words

    def both(self, other: Words) -> Words:
        none = self.none and other.none
        if self.but and other.but:
            return Words(self.words | other.words, True, none)
        if self.but or other.but:
            listed, left = (other, self) if self.but else (self, other)
            return Words(listed.words - left.words, False, none)
        return Words(self.words & other.words, False, none)

    def outside(self) -> list[Words]:
        """The complement."""
        return [Words(self.words, not self.but, not self.none)]


@dataclass(frozen=True, slots=True)
class Numbers:
    """Numbers between two bounds, each in or out. `none`: also a name without a value."""

    low: float = -inf
    low_in: bool = False
    high: float = inf
    high_in: bool = False
    none: bool = False

    def empty(self, domain: Domain) -> bool:
        return not self.none and self._nothing()

    def _nothing(self) -> bool:
        return self.low > self.high or (self.low == self.high and not (self.low_in and self.high_in))

    def both(self, other: Numbers) -> Numbers:
        low, low_in = max((self.low, not self.low_in), (other.low, not other.low_in))
        high, high_in = min((self.high, self.high_in), (other.high, other.high_in))
        return Numbers(low, not low_in, high, high_in, self.none and other.none)

    def outside(self) -> list[Numbers]:
        """The complement, in parts."""
        parts = [Numbers(high=self.low, high_in=not self.low_in), Numbers(self.high, not self.high_in)]
        parts = [Numbers(none=True)] if self._nothing() else [p for p in parts if not p._nothing() and p != Numbers()]
        nothing = Numbers(0, False, 0, False, True)
        if self.none:
            return [Numbers(p.low, p.low_in, p.high, p.high_in) for p in parts]
        return parts if any(p.none for p in parts) else [*parts, nothing]


Values = Words | Numbers


@dataclass(frozen=True, slots=True)
class Domain:
    """The possible values of a name: its words if known, or numbers."""

    words: frozenset[object] | None
    numeric: bool = False


Box = Mapping[Dimension, Values]
"""The allowed values of each restricted dimension."""


class TooMuch(Exception):
    """The comparisons of one table exceed the step limit."""


class Space:
    """The vocabulary as dimensions. Each table has a budget of `steps`; `TooMuch` is raised when it is used up."""

    def __init__(self, names: Mapping[str, Name], entries: Mapping[str, Iterable[str]], thresholds: Mapping[str, Threshold]) -> None:
        """`entries` are the words of the catalogue that names take their values from (`from: methods`)."""
        self.names, self.thresholds = names, thresholds
        self.domains = {name: _domain(entry, entries) for name, entry in names.items()}
        self.steps = MOST_STEPS

    def spend(self, steps: int = 1) -> None:
        """Use up steps of the budget; raises `TooMuch` beyond it."""
        self.steps -= steps
        if self.steps < 0:
            raise TooMuch

    def domain(self, dimension: Dimension) -> Domain:
        """The possible values of a dimension."""
        name, word = dimension
        return self.domains[name] if word is None else Domain(frozenset({True, False}))

    def boxes(self, when: Mapping[str, object]) -> list[dict[Dimension, Values]]:
        """The facts that a row matches, as boxes: several if a cell is a list over a name with a set of words."""
        parts = [list(self._cell(name, cell)) for name, cell in when.items()]
        self.spend(prod(map(len, parts)))
        return [{key: values for part in chosen for key, values in part.items()} for chosen in product(*parts)]

    def _cell(self, name: str, cell: object) -> Iterator[dict[Dimension, Values]]:
        entry = self.names[name]
        refused = isinstance(cell, dict) and "not" in cell
        words = _list(cell.get("not", cell) if isinstance(cell, dict) else cell)
        if entry["type"] == "words":
            if refused:
                yield {(name, word): Words(frozenset({False})) for word in words}
            else:
                for word in words:
                    yield {(name, word): Words(frozenset({True}))}
        elif isinstance(cell, dict) and not refused:
            yield {(name, None): self._range(cell, entry.get("unit") in WHOLE)}
        elif entry["type"] == "number":
            yield from self._points(name, words, refused)
        elif refused and "unknown" in words:
            yield {(name, None): Words(frozenset(), True)}
        else:
            unknown = "unknown" in words and not refused
            yield {
                (name, None): Words(
                    frozenset(words) - ({"unknown"} if unknown and not self._says_unknown(name) else set()), refused, unknown
                )
            }

    def _says_unknown(self, name: str) -> bool:
        return "unknown" in (self.names[name].get("values") or ())

    def _points(self, name: str, words: Sequence[object], refused: bool) -> Iterator[dict[Dimension, Values]]:
        points = [Numbers(word, True, word, True) if isinstance(word, int | float) else Numbers(0, False, 0, False, True) for word in words]
        if not refused:
            for point in points:
                yield {(name, None): point}
            return
        left: list[Numbers] = [Numbers()]
        for point in points:
            left = [both for part in left for other in point.outside() if not (both := part.both(other))._nothing()]
        for part in left:
            yield {(name, None): part}

    def _range(self, cell: Mapping[str, str | float], whole: bool) -> Numbers:
        found = Numbers()
        for key, limit in cell.items():
            value = float(self.thresholds[limit]["value"] if isinstance(limit, str) else limit)
            part = Numbers(value, key == "min") if key in ("min", "over") else Numbers(high=value, high_in=key == "max")
            found = found.both(_whole(part) if whole else part)
        return found

    # -- boxes

    def empty(self, box: Box) -> bool:
        """Whether a box is empty."""
        return any(values.empty(self.domain(key)) for key, values in box.items())

    def overlap(self, one: Box, other: Box) -> dict[Dimension, Values] | None:
        """The intersection of two boxes; None if empty."""
        self.spend()
        both = dict(one)
        for key, values in other.items():
            both[key] = both[key].both(values) if key in both else values  # type: ignore[arg-type]
            if both[key].empty(self.domain(key)):
                return None
        return None if self.empty(both) else both

    def minus(self, box: Box, taken: Box) -> list[dict[Dimension, Values]]:
        """The difference of two boxes, as disjoint boxes."""
        if self.overlap(box, taken) is None:
            return [dict(box)]
        left, inside = [], dict(box)
        for key, values in taken.items():
            for outside in values.outside():
                part = {**inside, key: inside[key].both(outside) if key in inside else outside}  # type: ignore[arg-type]
                if not part[key].empty(self.domain(key)):
                    left.append(part)
            inside[key] = inside[key].both(values) if key in inside else values  # type: ignore[arg-type]
        return left

    def left(self, boxes: Iterable[Box], taken: Iterable[Box]) -> list[dict[Dimension, Values]]:
        """The difference of two unions of boxes."""
        rest = [dict(box) for box in boxes if not self.empty(box)]
        for one in taken:
            rest = [part for box in rest for part in self.minus(box, one)]
        return rest

    def known(self, names: Iterable[str]) -> dict[Dimension, Values]:
        """The box in which each of these names has a value."""
        return {
            (name, word): Numbers() if self.domains[name].numeric else Words(frozenset(), True)
            for name in names
            for word in ((self.domains[name].words or ()) if self.split(name) else (None,))
        }

    def split(self, name: str) -> bool:
        """Whether a name has a set of words and counts as several dimensions."""
        return self.names[name]["type"] == "words"

    def example(self, box: Box) -> str:
        """An example combination of a box, in words."""
        parts = [
            (name if word is None else f"{name} with {word}", _one(values, self.domain((name, word))))
            for (name, word), values in box.items()
        ]
        return ", ".join(f"{name}: {value}" for name, value in parts)


def _domain(entry: Name, entries: Mapping[str, Iterable[str]]) -> Domain:
    kind = entry["type"]
    if kind == "number":
        return Domain(None, numeric=True)
    if kind == "flag":
        return Domain(frozenset({True, False}))
    values = entries[entry["from"]] if "from" in entry else entry.get("values")
    return Domain(frozenset(values) if values is not None else None)


def _whole(part: Numbers) -> Numbers:
    """The same range in whole numbers: `over: 1` means from 2."""
    low = part.low if part.low == -inf else ceil(part.low) if part.low_in else floor(part.low) + 1
    high = part.high if part.high == inf else floor(part.high) if part.high_in else ceil(part.high) - 1
    return Numbers(low, low != -inf, high, high != inf)


def _list(cell: object) -> list[object]:
    return cell if isinstance(cell, list) else [cell]


def _one(values: Values, domain: Domain) -> str:
    if isinstance(values, Words):
        if domain.words is not None:
            words = sorted(map(str, values._of(domain.words)))
        else:
            words = ["any other"] if values.but else sorted(map(str, values.words))
        return words[0].lower() if words and words[0] in ("True", "False") else words[0] if words else "unknown"
    if values._nothing():
        return "unknown"
    if values.low == -inf:
        return "any" if values.high == inf else f"{'up to' if values.high_in else 'below'} {values.high:g}"
    return f"{values.low:g}" if values.low_in else f"over {values.low:g}"

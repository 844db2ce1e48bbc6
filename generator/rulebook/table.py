"""Decision tables: cells compiled to tests, and matching of facts; and the compatibility matrices: what the facts say of a method or a type of
KV cache, by generation, version and shape of the model.

Floor 1. A cell is a word or number, a list (any of its items), `{not: x}`, a comparison `{min, over, below, max}`
with a number or the name of a threshold, or `unknown`. A fact without a value matches only `unknown`. A row of a matrix
is a statement or several, most specific first: the first that holds and says something of the generation counts."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from operator import ge, gt, le, lt
from typing import TYPE_CHECKING, Any, NamedTuple

from generator.quantity import version_key
from generator.readers.document import KeyPath

if TYPE_CHECKING:  # every start would pay for building the types
    from generator.rulebook import sections as typed

STAGES = ("spec", "pair", "layout", "sized")
"""The stages at which names get their values: the spec, engine and method, parallelism, sizing."""
SPEC, PAIR, LAYOUT, SIZED = range(len(STAGES))

COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {"min": ge, "over": gt, "below": lt, "max": le}

LABELS = "labels."
"""Names of a spec's own labels begin so; a rule set declares those that it reads."""
ESTIMATES = "speed."
"""Names of estimates begin so."""
UNCERTAINTY = "uncertainty"
"""The word of `beyond`."""

Test = Callable[[object], bool]
Facts = Mapping[str, object]


class Rank(NamedTuple):
    """A criterion by a number: its name, and whether higher is better.

    `estimate`: the number is an estimate of speed; `beyond`: it counts only where it differs by more than such estimates err
    against each other."""

    name: str
    higher: bool
    beyond: bool
    estimate: bool


class Row(NamedTuple):
    """One compiled row of a table.

    `at` is `file:line`. `rank`, `unbeaten` or `order` are set in `prefer` rows, `set` in `settings` and `workload` rows."""

    id: str
    when: Mapping[str, object]
    tests: tuple[tuple[str, Test], ...]
    stage: int
    because: str
    source: str | None
    at: str
    set: Mapping[str, object]
    rank: Rank | None
    unbeaten: tuple[Rank, ...]
    order: tuple[str, Mapping[object, int]] | None

    def matches(self, facts: Facts) -> bool:
        """Whether every cell of the row accepts its fact."""
        for name, test in self.tests:
            if not test(facts[name]):
                return False
        return True


class Table(NamedTuple):
    """A table's rows in order, the rows by the stage at which all their names are known, and all names they read.

    `names_by_stage` are the names tested by a stage's rows. `memo` caches the matching rows by values: engines,
    methods and splits repeat often."""

    name: str
    hit: str
    rows: tuple[Row, ...]
    by_stage: tuple[tuple[Row, ...], ...]
    reads: tuple[str, ...]
    names_by_stage: tuple[tuple[str, ...], ...]
    memo: dict[tuple[object, ...], tuple[Row, ...]]

    def matching(self, facts: Facts, stage: int) -> tuple[Row, ...]:
        """The matching rows of exactly this stage (`collect`)."""
        if stage == SIZED:  # its figures hardly ever repeat
            return self._matching(facts, stage)
        key = (stage, *map(facts.__getitem__, self.names_by_stage[stage]))
        found = self.memo.get(key)
        if found is None:
            found = self.memo[key] = self._matching(facts, stage)
        return found

    def _matching(self, facts: Facts, stage: int) -> tuple[Row, ...]:
        return tuple([row for row in self.by_stage[stage] if row.matches(facts)])


def cell_test(cell: object, bound: Callable[[object], object]) -> Test:
    """The test of one cell; `bound` resolves a threshold's name to its number."""
    if isinstance(cell, dict):
        if "not" in cell:
            refused = _words(cell["not"])
            if "unknown" in refused:
                return lambda value: value is not None
            one_of = _one_of(refused)
            return lambda value: value is not None and not one_of(value)
        pairs = [(COMPARISONS[key], bound(limit)) for key, limit in cell.items()]
        if len(pairs) == 1:
            compare, limit = pairs[0]
            return lambda value: value is not None and compare(value, limit)
        return lambda value: value is not None and all(compare(value, limit) for compare, limit in pairs)
    wanted = _words(cell)
    one_of = _one_of(wanted)
    if "unknown" in wanted:
        return lambda value: value is None or one_of(value)
    return one_of


def _words(cell: object) -> frozenset[object]:
    return frozenset(cell if isinstance(cell, list) else [cell])


def cell_words(cell: object) -> frozenset[object]:
    """The words of a cell over a set of words."""
    return _words(cell["not"] if isinstance(cell, dict) else cell)


def _one_of(words: frozenset[object]) -> Test:
    """Test whether a fact is one of these words, or a set that contains one of them."""
    if words == {True} and all(word is True for word in words):
        return lambda value: value is True
    if words == {False} and all(word is False for word in words):
        return lambda value: value is False
    if all(isinstance(word, str) for word in words):
        return lambda value: value in words if isinstance(value, str) else isinstance(value, frozenset) and not value.isdisjoint(words)

    def test(value: object) -> bool:
        if value is None:
            return False
        if isinstance(value, frozenset):
            return not value.isdisjoint(words)
        # `1` and `true` are equal in Python, but not in a rule
        return any(value == word and isinstance(value, bool) is isinstance(word, bool) for word in words)

    return test


def bounds_of(row: typed.Row | Row) -> set[str]:
    """The thresholds that the cells of a row name."""
    when = (row.when if isinstance(row, Row) else row.get("when")) or {}
    return {bound for cell in when.values() if isinstance(cell, dict) for bound in cell.values() if isinstance(bound, str)}


def names_read(row: typed.Row) -> set[str]:
    """The names that a row of checked data reads: by its cells, and those that it ranks, orders or compares by."""
    compared = [name for names in (row.get("unbeaten") or {}).values() for name in names]
    return {*(row.get("when") or {}), *(row.get("rank") or {}).values(), *compared, *(row.get("order") or {})}


def build_row(row: typed.Row, stages: Mapping[str, int], bound: Callable[[object], object]) -> Row:
    """A row compiled from checked data."""
    when = row.get("when") or {}
    tests = [(name, cell_test(cell, bound)) for name, cell in when.items()]
    rank = order = None
    unbeaten = tuple(
        Rank(name, direction == "higher", beyond=name.startswith(ESTIMATES), estimate=name.startswith(ESTIMATES))
        for direction, names in (row.get("unbeaten") or {}).items()
        for name in names
    )
    if "rank" in row:
        ((direction, name),) = row["rank"].items()
        rank = Rank(name, direction == "higher", "beyond" in row, name.startswith(ESTIMATES))
    if "order" in row:
        ((name, words),) = row["order"].items()
        order = (name, {word: i for i, group in enumerate(words) for word in _words(group)})
    stage = max((stages[name] for name in when), default=0)
    return Row(
        row["id"], when, tuple(tests), stage, row.get("because", ""), first_source(row.get("source")), row.get("at", ""),
        row.get("set") or {}, rank, unbeaten, order,
    )  # fmt: skip


def build_table(name: str, data: typed.Table, stages: Mapping[str, int], bound: Callable[[object], object]) -> Table:
    """A table compiled from checked data; rows with only `otherwise: true` always match."""
    rows = tuple(build_row(row, stages, bound) for row in data["rows"])
    by_stage = tuple(tuple(row for row in rows if row.stage == i) for i in range(len(STAGES)))
    words = [*(name for row in rows for name in row.when), *(word for row in rows for word in row.set.values())]
    reads = tuple(dict.fromkeys(word for word in words if isinstance(word, str) and word in stages))
    names = tuple(tuple(dict.fromkeys(name for row in those for name in row.when)) for those in by_stage)
    return Table(name, data["hit"], rows, by_stage, reads, names, {})


def first_source(source: object) -> str | None:
    """The key of the source of a row or fact; of several the first; None where there is none."""
    if isinstance(source, list):
        return str(source[0]) if source else None
    return None if source is None else str(source)


Statement = Mapping[str, Any]
WHEN = ("since", "until", "shape")
"""When a statement holds."""
ABOUT = (*WHEN, "notes", "source", "needs")
"""Keys of a statement that are not hardware."""
EVERY = "all"


def matrix_rows(data: object) -> Iterator[tuple[KeyPath, list[tuple[KeyPath, Statement]]]]:
    """The matrix rows of a file of rules with their paths, and their statements with theirs."""
    if isinstance(data, Mapping):
        found: list[tuple[KeyPath, Any]] = [(("support",), data.get("support") or {})]
        found += [(("kv_cache", engine), rows) for engine, rows in (data.get("kv_cache") or {}).items()]
        for above, rows in found:
            for name, row in rows.items():
                path = (*above, name)
                yield path, [((*path, i), one) for i, one in enumerate(row)] if isinstance(row, list) else [(path, row)]


def spans(cell: Mapping[str, str]) -> Iterator[tuple[float, str]]:
    """Where each span of compute capabilities begins, and its word: `from 8.9` is 8.9 and above, up to the next span."""
    return ((float(key.removeprefix("from ")), word) for key, word in cell.items())


def word_of(statement: Statement, generation: str, known: Mapping[str, Mapping[str, Any]]) -> str | None:
    """What a statement says of a generation: by its name, else of the one it is `like`, else of its maker, else of `all`; None for nothing."""
    kin = [generation]
    while (nearest := known.get(kin[-1], {}).get("like")) is not None and nearest not in kin:
        kin.append(nearest)
    entry: Mapping[str, Any] = {key: value for one in reversed(kin) for key, value in known.get(one, {}).items()}
    maker = statement.get(entry.get("vendor", ""))
    if isinstance(maker, Mapping):
        capability = min(entry.get("compute_capabilities") or (0.0,))
        maker = max(((start, word) for start, word in spans(maker) if start <= capability), default=(0, None))[1]
    return next((statement[one] for one in kin if one in statement), statement.get(EVERY) if maker is None else maker)


def cell_of(
    row: Collection[Statement], generation: str, known: Mapping[str, Mapping[str, Any]], version: str, shapes: Collection[str]
) -> tuple[str, Statement] | None:
    """The word of a row for a generation at an engine's version, for a model of these shapes, and the statement that says it."""
    key = version_key(version)
    for one in row:
        since, until, shape = map(one.get, WHEN)
        holds = (shape is None or shape in shapes) and (since is None or version_key(since) <= key) and (until is None or key < version_key(until))
        if holds and (word := word_of(one, generation, known)) is not None:
            return word, one
    return None

"""How much of a corpus a changed row is about: the specs that match what its cells ask of a spec.

Floor 7, pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from generator.compare.model import Coverage, Edit
from generator.rulebook.book import RuleBook
from generator.rulebook.table import LABELS, SPEC, Row, Test


class Probe(NamedTuple):
    """The cells of a changed row that only read the spec, as they are now, and their tests before and after the change."""

    edit: str
    cells: Mapping[str, object]
    tests: tuple[tuple[tuple[str, Test], ...], ...]

    def matches(self, facts: Mapping[str, object]) -> bool:
        """Whether a spec matches these cells, before or after the change."""
        return any(all(test(facts.get(name)) for name, test in tests) for tests in self.tests)


class Seen(NamedTuple):
    """What a spec says to probes: whether it matches each, and which of their labels it has."""

    matched: tuple[bool, ...]
    labels: tuple[str, ...]


def probes(edits: Iterable[Edit], old: RuleBook, new: RuleBook) -> list[Probe]:
    """A probe for each changed row (or threshold that a single row reads) that asks something of a spec."""
    found = []
    for edit in edits:
        rows = [(row, book) for book in (new, old) for row in _rows(edit, book)] if edit.decisive else []
        tests = tuple(tuple(pair for pair in row.tests if book.stages[pair[0]] == SPEC) for row, book in rows)
        if rows and all(tests) and len({row.id for row, _ in rows}) == 1:
            found.append(Probe(edit.id, {name: rows[0][0].when[name] for name, _ in tests[0]}, tests))
    return found


def _rows(edit: Edit, book: RuleBook) -> Iterator[Row]:
    """The row of an edit, or the rows with a cell that reads its threshold."""
    for name, table in book.tables.items():
        for row in table.rows:
            bounds = [bound for cell in row.when.values() if isinstance(cell, dict) for bound in cell.values()]
            if (edit.section == f"tables/{name}" and row.id == edit.name) or (edit.section == "thresholds" and edit.name in bounds):
                yield row


def seen(found: Iterable[Probe], facts: Mapping[str, object]) -> Seen:
    """What a spec, by the names that it gives the rules, says to the probes."""
    probes = list(found)
    labels = {name for probe in probes for name in probe.cells if name.startswith(LABELS)}
    return Seen(tuple(probe.matches(facts) for probe in probes), tuple(sorted(name for name in labels if facts.get(name) is not None)))


def coverage(found: Iterable[Probe], specs: Iterable[tuple[str, Seen | None]]) -> tuple[Coverage, ...]:
    """The coverage of each probe over the specs, by name; None for a spec that cannot be planned."""
    known = [(name, one) for name, one in specs if one is not None]
    labels = {label for _, one in known for label in one.labels}
    return tuple(
        Coverage(
            probe.edit, tuple(probe.cells.items()), tuple(name for name, one in known if one.matched[i]),
            tuple(name for name in probe.cells if name.startswith(LABELS) and name not in labels),
        )
        for i, probe in enumerate(found)
    )  # fmt: skip

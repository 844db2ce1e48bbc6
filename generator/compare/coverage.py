"""How much of a corpus a changed row is about: the specs that match what its cells ask of a spec. Floor 7, pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from generator.compare.model import Coverage, Edit
from generator.rulebook.book import RuleBook
from generator.rulebook.table import LABELS, SPEC, Facts, Row, Test, bounds_of


class Probe(NamedTuple):
    """The cells of a changed row that only read the spec, as they are now, each with its tests before and after the change."""

    edit: str
    cells: Mapping[str, object]
    tests: Mapping[str, list[Test]]


def probes(edits: Iterable[Edit], old: RuleBook, new: RuleBook) -> list[Probe]:
    """A probe for each changed row (or threshold that a single row reads) that asks something of a spec."""
    found = []
    for edit in edits:
        rows = [(row, book) for book in (new, old) for row in _rows(edit, book)] if edit.decisive else []
        tests: dict[str, list[Test]] = {}
        for row, book in rows:
            for name, test in row.tests:
                if book.stages[name] == SPEC:
                    tests.setdefault(name, []).append(test)
        if tests and len({row.id for row, _ in rows}) == 1:
            cells = {name: cell for row, _ in reversed(rows) for name, cell in row.when.items() if name in tests}
            found.append(Probe(edit.id, cells, tests))
    return found


def _rows(edit: Edit, book: RuleBook) -> Iterator[Row]:
    """The row of an edit, or the rows with a cell that reads its threshold."""
    for name, table in book.tables.items():
        for row in table.rows:
            if (edit.section == f"tables/{name}" and row.id == edit.name) or (edit.section == "thresholds" and edit.name in bounds_of(row)):
                yield row


def coverage(found: Iterable[Probe], specs: Mapping[str, Facts]) -> tuple[Coverage, ...]:
    """The coverage of each probe over the specs, each with the names that it gives the rules."""
    covered = []
    for probe in found:
        rows = {spec: {name: _matches(name, tests, facts.get(name)) for name, tests in probe.tests.items()} for spec, facts in specs.items()}
        unset = [name for name in probe.cells if all(row[name] is None for row in rows.values())]
        cells = tuple((name, cell) for name, cell in probe.cells.items() if name not in unset)
        covered.append(Coverage(probe.edit, cells, tuple(spec for spec, row in rows.items() if all(row[name] for name, _ in cells)), tuple(unset)))
    return tuple(covered)


def _matches(name: str, tests: Iterable[Test], fact: object) -> bool | None:
    """Whether a spec matches a cell; None for a label that it does not have."""
    return None if fact is None and name.startswith(LABELS) else any(test(fact) for test in tests)

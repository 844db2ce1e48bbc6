"""Rows that match, as reasons. Floor 5, pure."""

from __future__ import annotations

from collections.abc import Mapping

from generator.decide.context import Reads
from generator.plan import Reason
from generator.rulebook.book import RuleBook
from generator.rulebook.table import Facts, Row


def reason_of(row: Row, facts: Facts, sources: Mapping[str, str | None], book: RuleBook) -> Reason:
    """One row that matched; a row that only reads a cell of a matrix brings that cell's source."""
    source = row.source
    if source is None:
        source = next((sources[name] for name in row.when if sources.get(name)), None)
    return Reason(row.id, row.because, source, Reads(row, facts, sources, book), row.at)


def reasons(table: str, stage: int, facts: Facts, sources: Mapping[str, str | None], book: RuleBook) -> tuple[Reason, ...]:
    """Reasons of the rows of a table that are decided at this stage."""
    return tuple([reason_of(row, facts, sources, book) for row in book.tables[table].matching(facts, stage)])

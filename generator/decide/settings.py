"""Settings: what is written for a candidate, in neutral words, as the `settings` rows say.

Floor 5, pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from generator.decide.context import set_value, trace_of
from generator.errors import fail
from generator.facts.engine import Engine
from generator.plan import Trace, Value
from generator.rulebook.book import RuleBook
from generator.rulebook.table import Row, cell_test


class _Values(dict[str, Any]):
    """What rows set; whoever needs a key that no row sets is told so."""

    def __init__(self, table: str) -> None:
        super().__init__()
        self._table = table

    def __missing__(self, key: str) -> Any:
        raise fail("rules-gap", f"no row of the table `{self._table}` sets {key!r} here, which is needed")


def collected(
    table: str, facts: Mapping[str, Any], sources: Mapping[str, str | None], book: RuleBook, version: str | None
) -> tuple[dict[str, Any], list[Trace]]:
    """Everything that the matching rows of a `collect` table set, and a step of the trace for each."""
    values: dict[str, Any] = _Values(table)
    steps = _rows(table, facts, book, version, values)
    return values, [trace_of(table, row, {"set": did}, facts, sources, book) for row, did in steps]


def values_of(table: str, facts: Mapping[str, Any], book: RuleBook, version: str | None) -> dict[str, Any]:
    """The same without the trace."""
    values: dict[str, Any] = _Values(table)
    _rows(table, facts, book, version, values)
    return values


def _rows(
    table: str, facts: Mapping[str, Any], book: RuleBook, version: str | None, values: dict[str, Any]
) -> list[tuple[Row, dict[str, Any]]]:
    """The matching rows with what each sets; two rows that differ on one key are an error."""
    set_by: dict[str, str] = {}
    found = []
    for row in book.tables[table].rows:
        if not row.matches(facts):
            continue
        did = {}
        for key, word in row.set.items():
            value = set_value(word, facts, book, version)
            if value is None:
                continue
            if key in values and values[key] != value:
                raise fail("rules-conflict", f"rows {set_by[key]!r} and {row.id!r} of `{table}` both set {key}: {values[key]!r} and {value!r}")
            values[key], set_by[key], did[key] = value, row.id, value
        found.append((row, did))
    return found


def emitted(
    facts: Mapping[str, Any], sources: Mapping[str, str | None], book: RuleBook, engine: Engine
) -> tuple[dict[str, Value], list[Trace]]:
    """The settings of a candidate; a row may only set what this version of the engine can spell, and works with here (`accepted_when`)."""
    values, trace = collected("settings", facts, sources, book, engine.version)
    for key in values:
        if not engine.has(key):
            raise fail("no-flag", f"the rules set {key!r} for {engine.name} {engine.version}, which has no word for it")
        for name, cell in ((engine.spelling(key) or {}).get("accepted_when") or {}).items():
            if not cell_test(cell, lambda literal: literal)(facts.get(name)):
                raise fail("not-accepted", f"the rules set {key!r} for {engine.name} {engine.version}, which takes it only where {name} is {cell!r}")
    return values, trace

"""What an engine's facts say that a model needs besides its config.json (`for_models`). Floor 5, pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from generator.decide.context import Context
from generator.facts.engine import Engine, literally
from generator.plan import Read, Trace
from generator.quantity import in_span, version_key
from generator.rulebook.memo import remembered
from generator.rulebook.table import cell_test, first_source


@remembered
def _rows(context: Context, engine: Engine) -> tuple[Mapping[str, Any], ...]:
    """The rows for the model and this version, by its id in the catalogue and by the classes and the family that its config.json names."""
    known, key = {context.model.listed or context.model.id, *context.model.classes}, version_key(engine.version)
    return tuple(row for row in engine.facts.get("for_models") or () if in_span(row, key) and not known.isdisjoint(row.get("models") or known))


def needs(context: Context, engine: Engine, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Settings that the model needs where the facts are these: each by the first row that holds. A row whose names are not known yet does not."""
    return {key: value for row in reversed([*_holding(context, engine, facts)]) for key, value in row["set"].items()}


def needed(context: Context, engine: Engine, facts: Mapping[str, Any], values: dict[str, Any]) -> list[Trace]:
    """Add to `values` the settings that no row of the rules sets and that this version has a word for; a step of the trace for each row."""
    trace = []
    for row in _holding(context, engine, facts):
        new = {key: value for key, value in row["set"].items() if key not in values and engine.has(key) and not any(engine.against(key, facts))}
        values |= new
        read = {name: Read(facts[name], None) for name in row.get("when") or () if not isinstance(facts[name], frozenset)}
        trace += [Trace("settings", "for-the-model", {"set": new}, read, row["because"], first_source(row["source"]))] if new else []
    return trace


def _holding(context: Context, engine: Engine, facts: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for row in _rows(context, engine):
        if all(name in facts and cell_test(cell, literally)(facts[name]) for name, cell in (row.get("when") or {}).items()):
            yield row

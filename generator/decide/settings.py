"""Settings: what is written for a candidate, in neutral words, as the `settings` rows say. Floor 5, pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from generator.decide.context import Context, needed, set_value, trace_of
from generator.decide.names import spec_names
from generator.errors import fail
from generator.facts.engine import Engine
from generator.plan import Trace, Value
from generator.rulebook.book import RuleBook
from generator.rulebook.memo import remembered
from generator.rulebook.table import LAYOUT, SPEC, Facts

if TYPE_CHECKING:  # every start would pay for building the types
    from generator.decide.vocabulary import Sources

Values = dict[str, Value]


class _Values(dict[str, Value]):
    """What rows set; whoever needs a key that no row sets is told so."""

    def __init__(self, table: str) -> None:
        super().__init__()
        self._table = table

    def __missing__(self, key: str) -> Value:
        raise fail("rules-gap", f"no row of the table `{self._table}` sets {key!r} here, which is needed")


def collected(table: str, facts: Facts, sources: Sources, book: RuleBook, version: str | None) -> tuple[Values, list[Trace]]:
    """Everything that the matching rows of a `collect` table set, and a step of the trace for each; rows that differ on a key are an error."""
    values, trace, set_by = _Values(table), list[Trace](), dict[str, str]()
    for row in book.tables[table].rows:
        if not row.matches(facts):
            continue
        did = {key: value for key, word in row.set.items() if (value := set_value(word, facts, book, version)) is not None}
        for key, value in did.items():
            if key in values and values[key] != value:
                raise fail("rules-conflict", f"rows {set_by[key]!r} and {row.id!r} of `{table}` both set {key}: {values[key]!r} and {value!r}")
            values[key], set_by[key] = value, row.id
        trace.append(trace_of(table, row, {"set": did}, facts, sources, book))
    return values, trace


@remembered
def fit_reads(book: RuleBook) -> tuple[str, ...]:
    """The names that decide what the `fit` rows set, beside those of the spec."""
    return tuple(name for name in book.tables["fit"].reads if SPEC < book.stages[name] <= LAYOUT)


@remembered
def fit_base(context: Context, version: str, read: tuple[object, ...]) -> Mapping[str, Value]:
    """What the `fit` rows set for an engine's version, by the values of `fit_reads`: many candidates have the same."""
    facts = {**spec_names(context)[0], **dict(zip(fit_reads(context.book), read, strict=True))}
    base = collected("fit", facts, {}, context.book, version)[0]
    if context.pinned("enforce_eager") is not None:
        base["enforce_eager"] = context.pinned("enforce_eager")
    return base


def emitted(context: Context, facts: Facts, sources: Sources, engine: Engine) -> tuple[Values, list[Trace]]:
    """The settings of a candidate, and what the model needs besides; a row may only set what this version of the engine can spell, and works
    with here (`accepted_when`)."""
    book = context.book
    values, trace = collected("settings", facts, sources, book, engine.version)
    for key in values:
        if not engine.has(key):
            raise fail("no-flag", f"the rules set {key!r} for {engine.name} {engine.version}, which has no option for it")
        for name, cell in engine.against(key, facts):
            raise fail("not-accepted", f"the rules set {key!r} for {engine.name} {engine.version}, which takes it only where {name} is {cell!r}")
    return values, trace + needed(context, engine, facts, values)

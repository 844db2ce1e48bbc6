"""All lint findings of one rule set, in file order. Floor 1, pure except for reading the rule set and the package's modules."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date

from generator.errors import Place, Problem
from generator.record import dataclass
from generator.rulebook.lint.age import age_findings
from generator.rulebook.lint.catalogue import catalogue_findings
from generator.rulebook.lint.facts import fact_findings
from generator.rulebook.lint.layers import layer_findings
from generator.rulebook.lint.tables import table_findings
from generator.rulebook.lint.unused import unused_findings
from generator.rulebook.overlay import Gathered
from generator.rulebook.table import bounds_of, names_read

SEVERITIES = ("error", "warning", "note")


@dataclass(frozen=True, slots=True)
class Reached:
    """The rows reached by cases and examples, as (table, row id)."""

    rows: frozenset[tuple[str, str]]
    looked_at: int


def findings(
    gathered: Gathered, today: date, months: int, reached: Reached | None = None, beside: Iterable[object] = (), shared: bool = False
) -> list[Problem]:
    """All findings: only loading errors if the set does not load, else every proof.

    `reached` None skips findings that need cases; `shared` includes the facts shared with the sets `beside` it."""
    found = list(gathered.problems)
    if not found:
        found += table_findings(gathered)
        found += catalogue_findings(gathered)
        found += fact_findings(gathered, shared)
        found += age_findings(gathered, today, months)
        found += unused_findings(gathered, beside, shared)
        found += layer_findings(gathered)
        found += _row_sources(gathered)
        if reached is not None:
            found += _not_reached(gathered, reached)
    return in_order(found)


def in_order(found: Iterable[Problem]) -> list[Problem]:
    """Findings by file, line and column, each once."""
    return sorted(set(found), key=lambda p: (*(p.place or Place("", 0, 0)), SEVERITIES.index(p.severity), p.code, p.message))


def _row_sources(gathered: Gathered) -> Iterator[Problem]:
    """Rows without a source that read no fact with a source, and no threshold, which has its own."""
    bring = {"support", "kv_cache", "quality", "engines", "models", "gpus", "methods", "architectures"}
    names, thresholds = gathered.merged["names"], gathered.merged["thresholds"]
    for table, row, place in gathered.own_rows():
        cited = any(names[one].get("origin") in bring for one in names_read(row)) or any(bound in thresholds for bound in bounds_of(row))
        if row.get("source") is None and not cited:
            yield Problem("no-source", f"row {row['id']!r} of `{table}` names no source", place, "warning")


def _not_reached(gathered: Gathered, reached: Reached) -> Iterator[Problem]:
    for table, row, place in gathered.own_rows():
        if (table, row["id"]) not in reached.rows:
            yield Problem("not-reached", f"no case and no example reaches the row {row['id']!r} of `{table}` ({reached.looked_at} checked)", place)

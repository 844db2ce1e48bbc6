"""All lint findings of one rule set, in file order. Floor 1, pure: the caller gives the current day."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from generator.errors import Problem
from generator.readers.problems import in_order
from generator.record import dataclass
from generator.rulebook.lint.facts import fact_findings
from generator.rulebook.lint.layers import layer_findings
from generator.rulebook.lint.tables import table_findings
from generator.rulebook.overlay import Gathered
from generator.rulebook.table import bounds_of, names_read


@dataclass(frozen=True, slots=True)
class Reached:
    """The rows reached by cases and examples, as (table, row id)."""

    rows: frozenset[tuple[str, str]]
    looked_at: int


def findings(gathered: Gathered, today: date, months: int, reached: Reached | None = None, shared: bool = False) -> list[Problem]:
    """All findings: only loading errors if the set does not load, else every proof.

    `reached` None skips findings that need cases; `shared` includes the facts that several sets share."""
    found = list(gathered.problems)
    if not found:
        found += table_findings(gathered)
        found += fact_findings(gathered, shared)
        found += _ages(gathered, today, months)
        found += layer_findings(gathered)
        found += _row_sources(gathered)
        if reached is not None:
            found += _not_reached(gathered, reached)
    return in_order(found)


def _ages(gathered: Gathered, today: date, months: int) -> Iterator[Problem]:
    """Sources not read, and thresholds not checked, for `months` months; invalid or future dates."""
    for section, key in (("sources", "read"), ("thresholds", "checked")):
        what = section.removesuffix("s")
        for name, entry in gathered.merged[section].items():
            where = gathered.place(section, name)
            place = gathered.documents[where.path].place((section, name, key)) if key in entry else where
            try:
                day = date.fromisoformat(str(entry.get(key)))
            except ValueError:
                yield Problem("no-date", f"{what} {name!r} lacks the date it was {key} (2026-11-24)", place)
                continue
            age = (today.year - day.year) * 12 + today.month - day.month - (today.day < day.day)
            if day > today:
                yield Problem("future-date", f"{what} {name!r} was {key} on {day}, which is in the future", place, "warning")
            elif age >= months:
                yield Problem(f"stale-{what}", f"{what} {name!r} was last {key} {age} months ago, on {day}", place, "warning")


def _row_sources(gathered: Gathered) -> Iterator[Problem]:
    """Rows without a source that read no fact with a source, and no threshold, which has its own."""
    bring = {"support", "kv_cache", "quality", "engines", "models", "gpus", "methods", "architectures"}
    names, thresholds = gathered.merged["names"], gathered.merged["thresholds"]
    for table, row, place in gathered.own_rows():
        cited = any(names[one].get("origin") in bring for one in names_read(row)) or any(bound in thresholds for bound in bounds_of(row))
        if row.get("source") is None and not cited:
            yield Problem("no-source", f"row {row['id']!r} of `{table}` names no source", place, "warning")


def _not_reached(gathered: Gathered, reached: Reached) -> Iterator[Problem]:
    """Rows that nothing reaches; what reads a measurement is reached in an owner's rule set, which brings it."""
    names = gathered.merged["names"]
    for table, row, place in gathered.own_rows():
        if (table, row["id"]) not in reached.rows and not any(names[one].get("origin") == "measurement" for one in names_read(row)):
            yield Problem("not-reached", f"no case and no example reaches the row {row['id']!r} of `{table}` ({reached.looked_at} checked)", place)

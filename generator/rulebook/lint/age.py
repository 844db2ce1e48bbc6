"""Stale knowledge: sources and thresholds last checked too many months ago. Floor 1, pure: the caller gives the current day."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from generator.errors import Problem
from generator.rulebook.overlay import Gathered


def months_between(then: date, now: date) -> int:
    """Whole months from one day to another."""
    return (now.year - then.year) * 12 + now.month - then.month - (now.day < then.day)


def age_findings(gathered: Gathered, today: date, months: int) -> Iterator[Problem]:
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
            age = months_between(day, today)
            if day > today:
                yield Problem("future-date", f"{what} {name!r} was {key} on {day}, which is in the future", place, "warning")
            elif age >= months:
                yield Problem(f"stale-{what}", f"{what} {name!r} was last {key} {age} months ago, on {day}", place, "warning")

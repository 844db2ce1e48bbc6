"""Prefer: the criteria of the `prefer` table, compared one after the other.

Floor 3, pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from generator.plan import Candidate
from generator.table import Row, Table


class Ranked(NamedTuple):
    """A candidate that works, with the names that the criteria read."""

    candidate: Candidate
    facts: Mapping[str, Any]


class Step(NamedTuple):
    """What one criterion did: how many candidates were level with the best so far before it, and after it."""

    row: Row
    before: int
    after: int
    value: Any


def criteria(table: Table, facts: Mapping[str, Any]) -> list[Row]:
    """The rows whose `when` holds for this spec, in order."""
    return [row for row in table.rows if row.matches(facts)]


def score(row: Row, facts: Mapping[str, Any]) -> float:
    """How good a candidate is by one criterion: lower is better; without a value it comes last."""
    if row.rank is not None:
        name, higher = row.rank
        value = facts.get(name)
        if value is None:
            return float("inf")
        return -float(value) if higher else float(value)
    assert row.order is not None  # checked when the rules are loaded
    name, places = row.order
    return float(places.get(facts.get(name), len(places)))


def ranked(found: Sequence[Ranked], rows: Sequence[Row]) -> list[Ranked]:
    """Best first; ties by the candidate's id."""
    return sorted(found, key=lambda one: (*(score(row, one.facts) for row in rows), one.candidate.id))


def steps(found: Sequence[Ranked], rows: Sequence[Row]) -> list[Step]:
    """For each criterion that told candidates apart: how many it left."""
    told, level = [], list(found)
    for row in rows:
        best = min(score(row, one.facts) for one in level)
        left = [one for one in level if score(row, one.facts) == best]
        if len(left) < len(level):
            name = row.rank[0] if row.rank else row.order[0] if row.order else ""
            told.append(Step(row, len(level), len(left), left[0].facts.get(name)))
        level = left
    return told

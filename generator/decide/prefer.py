"""Prefer: the criteria of the `prefer` table, compared one after the other.

Floor 5, pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from generator.plan import Candidate
from generator.rulebook.table import Facts, Row, Table

if TYPE_CHECKING:
    from generator.decide.job_weights import Made
    from generator.decide.vocabulary import Names, Sources  # every start would pay for building the types


class Ranked(NamedTuple):
    """A candidate that works, with all that rules may read of it, the sources of that, and what a job makes for it."""

    candidate: Candidate
    facts: Names
    sources: Sources
    made: Made | None


class Step(NamedTuple):
    """What one criterion did: how many candidates were level with the best so far before it, and after it."""

    row: Row
    before: int
    after: int
    value: object


def criteria(table: Table, facts: Facts) -> list[Row]:
    """The rows whose `when` holds for this spec, in order."""
    return [row for row in table.rows if row.matches(facts)]


def scores(row: Row, found: Sequence[Ranked]) -> list[float]:
    """How good each candidate is by one criterion: lower is better; without a value it comes last."""
    known: list[Mapping[str, Any]] = [one.facts for one in found]
    if row.rank is not None:
        name, higher = row.rank
        sign = -1.0 if higher else 1.0
        return [_LAST if (value := facts.get(name)) is None else sign * value for facts in known]
    assert row.order is not None  # checked when the rules are loaded
    name, places = row.order
    return [places.get(facts.get(name), len(places)) for facts in known]


_LAST = float("inf")


def ranked(found: Sequence[Ranked], rows: Sequence[Row]) -> list[Ranked]:
    """Best first; ties by the candidate's id."""
    columns = [scores(row, found) for row in rows]
    keys = zip(*columns, [one.candidate.id for one in found], strict=True)
    return [one for _, one in sorted(zip(keys, found, strict=True), key=lambda pair: pair[0])]


def steps(found: Sequence[Ranked], rows: Sequence[Row]) -> list[Step]:
    """For each criterion that told candidates apart: how many it left."""
    told, level = [], list(found)
    for row in rows:
        if len(level) == 1:
            break
        each = scores(row, level)
        best = min(each)
        left = [one for one, its in zip(level, each, strict=True) if its == best]
        if len(left) < len(level):
            name = row.rank[0] if row.rank else row.order[0] if row.order else ""
            told.append(Step(row, len(level), len(left), left[0].facts.get(name)))
        level = left
    return told

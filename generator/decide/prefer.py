"""Prefer: the criteria of the `prefer` table, and the contests in which they find the best candidate.

Floor 5, pure. Criteria are compared one after the other, in three contests: the layouts of each engine and method, the methods of
each engine, the engines. Figures compared `beyond: uncertainty` only count where they differ by more than such estimates err
against each other, and common errors cancel more the more two candidates have in common: hence the three contests."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import takewhile
from typing import TYPE_CHECKING, NamedTuple

from generator.plan import Candidate
from generator.quantity import grouped
from generator.rulebook.table import Facts, Rank, Row, Table

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
    """What one criterion did in a contest: how many candidates it kept and which it dropped, and the winner's value."""

    among: str
    row: Row
    kept: int
    dropped: tuple[Ranked, ...]
    value: object


class Order(NamedTuple):
    """Candidates best first; how many of the first are the best layouts of an engine and method; the steps that found the first of all."""

    best_first: list[Ranked]
    leaders: int
    steps: list[Step]


class Contests:
    """The contests of one decision."""

    def __init__(self, rows: Sequence[Row], level: Callable[[str, str], float], estimated: Callable[[Ranked], Facts | None]) -> None:
        """`level`: the share by which an estimate may differ and still be level, by contest and name; `estimated`: the names of an
        estimate, None where there is none."""
        self.rows, self.level, self._estimated = rows, level, estimated
        self._known: dict[int, tuple[Ranked, Facts | None]] = {}

    def estimated(self, one: Ranked) -> Facts | None:
        """The names of a candidate's estimate, worked out once; None where there is none."""
        known = self._known.get(id(one))
        if known is None:
            known = self._known[id(one)] = one, self._estimated(one)
        return known[1]

    def order(self, found: Sequence[Ranked]) -> Order:
        """All candidates, best first."""
        layouts = grouped(found, lambda one: (one.candidate.engine, one.candidate.method))
        winners = [self.best("layouts", group) for group in layouts]
        firsts = [self.best("methods", group) for group in grouped([one for one, _ in winners], lambda one: one.candidate.engine)]
        if not firsts:
            return Order([], 0, [])
        first, last = self.best("engines", [one for one, _ in firsts])
        steps = [
            *next(steps for one, steps in winners if one is first), *next(steps for one, steps in firsts if one is first), *last,
        ]  # fmt: skip
        best, step = self._not_beaten(first, found)
        kind, engine = (best.candidate.engine, best.candidate.method), best.candidate.engine
        engines = [one for one, _ in firsts if one.candidate.engine != engine]
        taken = {id(one) for one in engines}
        rest = [one for one, _ in winners if id(one) not in taken and (one.candidate.engine, one.candidate.method) != kind]
        steps += step
        leading = [best, *self._sorted(engines), *self._sorted(rest)]
        shown = {id(one) for one in leading}
        return Order([*leading, *self._sorted([one for one in found if id(one) not in shown])], len(leading), steps)

    def best(self, among: str, found: Sequence[Ranked]) -> tuple[Ranked, list[Step]]:
        """The winner of a contest, and the criteria that told candidates apart."""
        told: list[tuple[Row, list[Ranked], tuple[Ranked, ...]]] = []
        left = list(found)
        for row in self.rows:
            if len(left) == 1:
                break
            kept = self._kept(among, row, left)
            if len(kept) < len(left):
                told.append((row, kept, tuple(one for one in left if all(one is not other for other in kept))))
                left = kept
        winner = min(left, key=lambda one: one.candidate.id)
        return winner, [Step(among, row, len(kept), dropped, self._value(row, winner)) for row, kept, dropped in told]

    def _not_beaten(self, best: Ranked, found: Sequence[Ranked]) -> tuple[Ranked, list[Step]]:
        """The winner, or what beats it among all that the rows before `unbeaten` put level with it: a layout that lost its own contest
        to one that lost against other methods."""
        index = next((number for number, row in enumerate(self.rows) if row.unbeaten), None)
        if index is None or self.estimated(best) is None:
            return best, []
        row, steps = self.rows[index], list[Step]()
        level = list(found)
        for policy in self.rows[:index]:
            of_best, *each = scores(policy, [best.facts, *(one.facts for one in level)])
            level = [one for one, its in zip(level, each, strict=True) if its == of_best]
        level = [one for one in level if self.estimated(one) is not None]
        while True:
            mine = self._figures(row.unbeaten, best)
            better = [
                one for one in level
                if one is not best and _beats(self._figures(row.unbeaten, one), mine, self._shares(_contest(one, best), row.unbeaten))
            ]  # fmt: skip
            if not better:
                return best, steps
            beaten, best = best, self.best("engines", better)[0]
            steps.append(Step("all", row, 1, (beaten,), best.candidate.id))

    def _shares(self, among: str, measures: Sequence[Rank]) -> list[float]:
        return [1.0 + self.level(among, measure.name) if measure.estimate else 1.0 for measure in measures]

    def cost(self, step: Step, winner: Ranked) -> str | None:
        """What a policy row costs: how far the best candidate that it dropped is ahead by the estimate that counts most, if beyond doubt."""
        row = next((row for row in self.rows if row.rank is not None and row.rank.beyond), None)
        mine = self.estimated(winner)
        if row is None or row.rank is None or mine is None or step.row.unbeaten or (step.row.rank is not None and step.row.rank.estimate):
            return None
        name, sign = row.rank.name, 1.0 if row.rank.higher else -1.0
        figures = [(sign * value, one) for one in step.dropped if isinstance(value := (self.estimated(one) or {}).get(name), int | float)]
        own = mine.get(name)
        if not figures or not isinstance(own, int | float):
            return None
        best, other = max(figures, key=lambda pair: (pair[0], pair[1].candidate.id))
        share = sign * best / own
        ahead = share if row.rank.higher else 1.0 / share
        if ahead <= 1.0 + self.level(step.among, name):
            return None
        return f"{name.removeprefix('speed.')} of {other.candidate.id} is estimated at {share:.2f} × this"

    def deciding(self, one: Ranked, other: Ranked) -> Row | None:
        """The criterion by which one candidate beats another, None where only their ids differ."""
        steps = self.best(_contest(one, other), [one, other])[1]
        return steps[0].row if steps else None

    def _kept(self, among: str, row: Row, left: list[Ranked]) -> list[Ranked]:
        if row.unbeaten:
            return self._unbeaten(among, row.unbeaten, left)
        if row.rank is None or not row.rank.estimate:
            name = row.rank.name if row.rank else row.order[0] if row.order else ""
            first = left[0].facts.get(name)
            if all(one.facts.get(name) == first for one in left):  # most names are the same for all layouts
                return left
            each = scores(row, [one.facts for one in left])
            best = min(each)
            return [one for one, its in zip(left, each, strict=True) if its == best]
        names = [self.estimated(one) for one in left]
        values = [facts.get(row.rank.name) if facts else None for facts in names]
        numbers = [value for value in values if isinstance(value, int | float)]
        if len(numbers) < len(values):  # without an estimate of each, the other criteria decide
            return left
        share = 1.0 + (self.level(among, row.rank.name) if row.rank.beyond else 0.0)
        if row.rank.higher:
            return [one for one, value in zip(left, numbers, strict=True) if value * share >= max(numbers)]
        return [one for one, value in zip(left, numbers, strict=True) if value <= min(numbers) * share]

    def _unbeaten(self, among: str, measures: Sequence[Rank], left: list[Ranked]) -> list[Ranked]:
        """The candidates that no other beats: no worse in any measure and better in one, in an estimate beyond its uncertainty. Without an
        estimate of each, all of them."""
        if any(self.estimated(one) is None for one in left):
            return left
        shares = self._shares(among, measures)
        figures = [self._figures(measures, one) for one in left]
        return [one for one, mine in zip(left, figures, strict=True) if not any(_beats(its, mine, shares) for its in figures)]

    def _figures(self, measures: Sequence[Rank], one: Ranked) -> list[float]:
        """Measures of a candidate, higher is better; one without a value is the worst."""
        estimated = self.estimated(one) or {}
        values = [(measure, (estimated if measure.estimate else one.facts).get(measure.name)) for measure in measures]
        return [(value if measure.higher else -value) if isinstance(value, int | float) else -_LAST for measure, value in values]

    def _value(self, row: Row, one: Ranked) -> object:
        if row.rank is not None and row.rank.estimate:
            return (self.estimated(one) or {}).get(row.rank.name)
        return one.facts.get(row.rank.name if row.rank else row.order[0] if row.order else "")

    def _sorted(self, found: list[Ranked]) -> list[Ranked]:
        """By the criteria that need no estimate."""
        facts = [one.facts for one in found]
        columns = [scores(row, facts) for row in self.rows if row.order or (row.rank and not row.rank.estimate)]
        keys = zip(*columns, [one.candidate.id for one in found], strict=True)
        return [one for _, one in sorted(zip(keys, found, strict=True), key=lambda pair: pair[0])]


def criteria(table: Table, facts: Facts) -> list[Row]:
    """The rows whose `when` holds for this spec, in order."""
    return [row for row in table.rows if row.matches(facts)]


def policy_of(rows: Sequence[Row]) -> list[Row]:
    """The criteria before the first that reads an estimate. Of all candidates the winner is first by these, whatever the contests."""
    return list(takewhile(lambda row: not row.unbeaten and not (row.rank and row.rank.estimate), rows))


def least(policy: Sequence[Row], facts: Facts, names: Mapping[str, Mapping[str, object]] | None = None) -> list[float]:
    """What each criterion gives a candidate, lower is better; with `names`, the vocabulary, the least that it can give where a fact is not
    known yet: no number of things or flags is below 0."""
    found = []
    for row in policy:
        name = row.rank.name if row.rank else row.order[0] if row.order else ""
        if names is None or name in facts:
            found += scores(row, [facts])
        else:
            counted = row.rank is None or (not row.rank.higher and names[name].get("unit") in ("count", "flag"))
            found.append(0.0 if counted else -_LAST)
    return found


def order_of(table: Table, models: Sequence[Facts]) -> list[int]:
    """The places of models, best first by the rows of `fits`; level ones in their order. A row that neither ranks nor orders puts what it
    matches first, another counts among what it matches."""
    keys = [
        [(scores(row, [facts])[0] if row.rank or row.order else 0.0) if row.matches(facts) else float(not (row.rank or row.order)) for row in table.rows]
        for facts in models
    ]  # fmt: skip
    return sorted(range(len(models)), key=keys.__getitem__)


def scores(row: Row, found: Sequence[Facts]) -> list[float]:
    """How good each candidate is by one exact criterion: lower is better; without a value it comes last."""
    if row.rank is not None:
        name, sign = row.rank.name, -1.0 if row.rank.higher else 1.0
        values = [facts.get(name) for facts in found]
        return [sign * value if isinstance(value, int | float) else _LAST for value in values]
    assert row.order is not None  # checked when the rules are loaded
    name, places = row.order
    return [places.get(facts.get(name), len(places)) for facts in found]


_LAST = float("inf")


def _beats(its: list[float], mine: list[float], shares: list[float]) -> bool:
    """Whether measures (higher is better) are no worse than others in any, and better in one by more than its share."""
    better = False
    for a, b, share in zip(its, mine, shares, strict=True):
        if a < b:
            return False
        better = better or (a > b * share if b > 0 else a * share > b)
    return better


def _contest(one: Ranked, other: Ranked) -> str:
    a, b = one.candidate, other.candidate
    return "engines" if a.engine != b.engine else "methods" if a.method != b.method else "layouts"


def extremes(best_first: Sequence[Ranked], figures: Sequence[Facts | None]) -> Iterator[int]:
    """The places of the first candidates that are best by speed, by latency, by loss and by the number of GPUs; `figures` of each."""

    def figure(place: int, name: str, without: float) -> float:
        value = (figures[place] or {}).get(name)
        return float(value) if isinstance(value, int | float) else without

    def loss(place: int) -> float:
        value = best_first[place].candidate.quality.value
        return _LAST if value is None else value

    places = range(len(best_first))
    if places:
        yield max(places, key=lambda place: figure(place, "speed.output_tokens_per_second", 0.0))
        yield min(places, key=lambda place: figure(place, "speed.tpot_ms", _LAST))
        yield min(places, key=loss)
        yield min(places, key=lambda place: best_first[place].candidate.gpus)

"""A decision as a case sees it: the choice, the rows involved, and the rejected candidates with their rows. Floor 7, pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any

from generator.decide.decision import Outcome, decide
from generator.errors import GenDeployError, Problem
from generator.plan import Rejection
from generator.record import dataclass
from generator.render.plan_json import as_json
from generator.rulebook.book import RuleBook
from generator.rulebook.rules_check import HITS
from generator.spec.deployment import DeploymentSpec


@dataclass(frozen=True)
class Observed:
    """One decision, or the problems instead of one."""

    outcome: Outcome | None
    problems: tuple[Problem, ...] = ()

    @cached_property
    def plan(self) -> dict[str, Any]:
        """The plan as JSON data; empty without a plan."""
        return as_json(self.outcome.plan) if self.outcome else {}

    @cached_property
    def rows(self) -> dict[str, set[str]]:
        """The rows involved, by table: rows that set a value, warned, rejected a candidate, or ranked candidates."""
        found: dict[str, set[str]] = {table: set() for table in HITS}
        if self.outcome is None:
            return found
        plan = self.outcome.plan
        for step in plan.trace:
            found.setdefault(step.step, set()).add(step.row)
        found["reject"] |= {reason.row for rejection in plan.rejected for reason in rejection.reasons}
        if plan.choice is not None and "fits" in self.outcome.context.book.tables:
            found["fits"] = {row.id for row in self.outcome.context.book.tables["fits"].rows if row.matches(plan.facts)}
        found["warn"] |= {reason.row for reason in plan.warnings}
        return found

    @property
    def engines(self) -> set[str]:
        """Engines with a viable candidate."""
        return {one.candidate.engine for one in self.outcome.ranked} if self.outcome else set()

    def rejected(self, word: str) -> list[Rejection]:
        """The rejected candidates of `ENGINE[/METHOD[/tpN…]]`."""
        assert self.outcome is not None
        return [r for r in self.outcome.plan.rejected if f"{r.candidate.id}/".startswith(f"{word}/")]

    def figure(self, path: str) -> object:
        """A figure of the plan by its path, such as `memory.weights`; None if missing."""
        value: object = self.plan
        for word in path.split("."):
            value = value.get(word) if isinstance(value, Mapping) else None
        return value


def observe(spec: DeploymentSpec, book: RuleBook) -> Observed:
    """Decide one spec; its problems are part of the result."""
    try:
        return Observed(decide(spec, book))
    except GenDeployError as error:
        return Observed(None, error.problems)


def reached(seen: Iterable[Observed]) -> frozenset[tuple[str, str]]:
    """All rows involved in these decisions, as (table, row)."""
    return frozenset((table, row) for one in seen for table, rows in one.rows.items() for row in rows)

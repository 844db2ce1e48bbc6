"""Comparison of a case with the actual decision: each failed expectation at its place, with the actual value; and the specs for examining a
rule set: its cases, and the examples or the project's specs. Floor 7; reads the specs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from math import isclose
from pathlib import Path
from typing import Any, NamedTuple

from generator.cases.case import Case, case_files, read_cases
from generator.decide.decision import Outcome, decide
from generator.errors import GenDeployError, Place, Problem, did_you_mean
from generator.plan import Rejection
from generator.record import dataclass
from generator.render.plan_json import as_json
from generator.rulebook.book import RuleBook
from generator.rulebook.rules_check import HITS
from generator.rulebook.rulesets import root_of
from generator.spec.deployment import DeploymentSpec, read_spec
from generator.spec.project import Project


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


CLOSE = 1e-6


class Difference(NamedTuple):
    """One failed expectation. `path` is its path within `expect`."""

    case: Case
    path: tuple[str | int, ...]
    message: str

    @property
    def place(self) -> Place:
        """The position of the expectation; of the whole case without a path."""
        return self.case.place(*self.path)


class Result(NamedTuple):
    """The result of a case."""

    case: Case
    observed: Observed
    differences: tuple[Difference, ...]


def run(case: Case, book: RuleBook) -> Result:
    """Decide a case's spec and compare; rows may have the names that they had before."""
    case = case.with_todays_rows({row.id for table in book.tables.values() for row in table.rows})
    try:
        seen = observe(case.spec(), book)
    except GenDeployError as error:
        seen = Observed(None, error.problems)
    return Result(case, seen, tuple(differences(case, seen, book)))


def differences(case: Case, seen: Observed, book: RuleBook) -> Iterator[Difference]:
    """The failed expectations."""
    expect = case.expect
    codes = sorted({problem.code for problem in seen.problems})
    if "error" in expect:
        if codes != [expect["error"]]:
            yield Difference(case, ("error",), f"error: expected {expect['error']}, got {' and '.join(codes) or 'a plan'}")
        return
    if codes:
        yield Difference(case, (), f"the spec is invalid: {seen.problems[0]}")
        return
    yield from _unknown_rows(case, book)
    choice = seen.plan["choice"]
    if "choice" in expect:
        yield from _choice(case, expect["choice"], choice)
    settings = (choice or {}).get("settings", {})
    yield from _unequal(case, "settings", {name: settings.get(name) for name in expect.get("settings") or ()})
    yield from _rows(case, seen)
    yield from _rejected(case, seen)
    if "engines" in expect and set(expect["engines"]) != seen.engines:
        yield Difference(case, ("engines",), f"viable engines: {_sets(set(expect['engines']), seen.engines)}")
    yield from _unequal(case, "plan", {path: seen.figure(path) for path in expect.get("plan") or ()})


def _unequal(case: Case, part: str, got: Mapping[str, object]) -> Iterator[Difference]:
    """The expected values of a part of `expect` that differ from these; a list of the choice means one of them."""
    for name, value in got.items():
        wanted = case.expect[part][name]
        if not (_one_of(wanted, value) if part == "choice" else _equal(wanted, value)):
            yield Difference(case, (part, name), f"{name}: expected {_shown(wanted)}, got {_shown(value)}")


def _rows(case: Case, seen: Observed) -> Iterator[Difference]:
    """Rows: exactly these (`rows`), at least these (`warnings`, `trace`), none of these (`no_warnings`)."""
    for path, table, wanted in _named(case.expect):
        got = seen.rows[table]
        if path[0] == "rows" and set(wanted) != got:
            yield Difference(case, path, f"rows of {table}: {_sets(set(wanted), got)}")
        elif path[0] in ("warnings", "trace", "no_warnings"):
            involved = path[0] != "no_warnings"
            for row in (row for row in wanted if (row in got) is not involved):
                yield Difference(case, path, f"row {row!r} of {table} is {'not ' if involved else ''}involved")


def _rejected(case: Case, seen: Observed) -> Iterator[Difference]:
    """A candidate of that name is rejected by all these rows; `figures`: the first one has memory and KV cache figures."""
    for word, rows in (case.expect.get("rejected") or {}).items():
        found = [{reason.row for reason in rejection.reasons} for rejection in seen.rejected(word)]
        if not found:
            yield Difference(case, ("rejected", word), f"{word} is not rejected")
        elif not any(set(rows) <= by for by in found):
            near = max(found, key=lambda by: len(by & set(rows)))
            yield Difference(case, ("rejected", word), f"{word} is rejected by other rows: {_sets(set(rows), near)}")
    for i, word in enumerate(case.expect.get("figures") or ()):
        first = next(iter(seen.rejected(word)), None)
        if first is None or first.candidate.memory is None or first.candidate.kv_cache is None:
            yield Difference(case, ("figures", i), f"{word} is not rejected with these figures")


def _choice(case: Case, wanted: Mapping[str, object] | None, got: Mapping[str, object] | None) -> Iterator[Difference]:
    if wanted is not None and got is not None:
        yield from _unequal(case, "choice", {key: got.get(key) for key in wanted})
    elif wanted is not got:
        what = "nothing fits" if got is None else f"the choice is {got['engine']}/{got['quantization']}"
        yield Difference(case, ("choice",), f"choice: expected {'one' if got is None else 'none'}, but {what}")


def _unknown_rows(case: Case, book: RuleBook) -> Iterator[Difference]:
    """Unknown rows: a misspelt name must not make a case pass."""
    for path, table, rows in _named(case.expect):
        known = {row.id for row in book.tables[table].rows}
        for i, row in enumerate(rows):
            if row not in known:
                yield Difference(case, (*path, i), f"{table} has no row {row!r}{did_you_mean(row, known)}")


def _named(expect: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], str, list[str]]]:
    yield from ((("rejected", word), "reject", rows) for word, rows in (expect.get("rejected") or {}).items())
    for part in ("rows", "trace"):
        yield from (((part, table), table, rows) for table, rows in (expect.get(part) or {}).items())
    yield from (((part,), "warn", expect[part]) for part in ("warnings", "no_warnings") if expect.get(part))


def _one_of(wanted: object, got: object) -> bool:
    return any(_equal(one, got) for one in wanted) if isinstance(wanted, list) else _equal(wanted, got)


def _equal(wanted: object, got: object) -> bool:
    if isinstance(wanted, bool) or isinstance(got, bool):
        return wanted is got
    if isinstance(wanted, int | float) and isinstance(got, int | float):
        return isclose(wanted, got, rel_tol=CLOSE, abs_tol=CLOSE)
    return bool(wanted == got)


def _sets(wanted: set[str], got: set[str]) -> str:
    parts = (("not expected", got - wanted), ("missing", wanted - got))
    return "; ".join(f"{what} {', '.join(sorted(rows))}" for what, rows in parts if rows)


def _shown(value: object) -> str:
    if value is None:
        return "nothing"
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else str(value)


def problems_of(result: Result) -> list[Problem]:
    """The differences of a case as problems."""
    return [Problem("case-failed", f"{result.case.id}: {one.message}", one.place) for one in result.differences]


EXAMPLES = "examples"
POLICIES = "policies"


def example_files(rules: Path, project: Project | None = None) -> list[Path]:
    """Example specs of a rule set: the project's, and the examples beside the rules for a set within a rules folder."""
    found: list[Path] = []
    if project is not None:
        found += project.spec_files()
    root = root_of(rules).resolve()
    if rules.resolve().parent == root:
        folder = root.parent / EXAMPLES
        found += [path for path in sorted(folder.rglob("*.yaml")) if POLICIES not in path.relative_to(folder).parts]
    return list({path.resolve(): path for path in found}.values())


def without_cases(rules: Path) -> bool:
    """Whether a set within a rules folder has no cases, as in an installation: only the repository contains them."""
    return rules.resolve().parent == root_of(rules).resolve() and not case_files(rules)


def examples_seen(paths: Iterable[Path], book: RuleBook) -> Iterator[tuple[Path, Observed]]:
    """The decision of each valid example spec."""
    for path in paths:
        try:
            spec = read_spec(path)
        except GenDeployError:
            continue
        yield path, observe(spec, book)


def cases_run(rules: Path, book: RuleBook, watched: Callable[[list[Case], str], Iterable[Case]] = lambda cases, what: cases) -> list[Result]:
    """Every case of a rule set, run, as `watched` hands them on; raises `InputError` for an invalid case."""
    return [run(case, book) for case in watched(read_cases(case_files(rules)), "cases")]

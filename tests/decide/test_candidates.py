"""Cases of the rule set `default`: a spec and what must be true of its decision. Every row of its tables is reached by one.

A case (`tests/cases/default/*.yaml`) pins what it is not about, so that it stands when judgement moves. `expect` may hold
    choice     words of the choice (`plan --json`), or null: nothing fits
    settings   settings of the choice
    rejected   {ENGINE/METHOD[/tpN…]: [rows]}: rows among the reasons of some rejected candidate of that name
    figures    ENGINE/METHOD[/tpN…] of a rejected candidate that keeps its memory and KV cache
    warnings   rows among the warnings; no_warnings: rows that are not
    trace      {step: [rows]}: rows in the trace
    error      the code of an error in the spec
"""

from __future__ import annotations

import time
from functools import cache
from typing import Any

import pytest
import yaml
from plans import ROOT, book, plan

from generator.decide.decision import Outcome
from generator.errors import InputError
from generator.plan import Rejection, choice_json

FOLDER = ROOT / "tests/cases/default"
CASES: list[dict[str, Any]] = [c for path in sorted(FOLDER.glob("*.yaml")) for c in yaml.safe_load(path.read_text(encoding="utf-8"))]
KEYS = {"choice", "settings", "rejected", "figures", "warnings", "no_warnings", "trace", "error"}
TABLES = ("reject", "warn", "fit", "settings", "prefer", "workload")
SECONDS = 20.0

UNREACHED: dict[str, str] = {}
"""Rows that no case can reach, and why."""


@cache
def outcome_of(number: int) -> Outcome | InputError:
    """The decision of a case, made once."""
    try:
        return plan(CASES[number]["given"], folder=FOLDER / "files")
    except InputError as error:
        return error


def named(rejection: Rejection, name: str) -> bool:
    """Whether a candidate's id is this name, or begins with it at a slash."""
    return f"{rejection.candidate.id}/".startswith(f"{name}/")


@pytest.mark.parametrize("number", range(len(CASES)), ids=[case["id"] for case in CASES])
def test_case(number: int) -> None:
    expect = CASES[number]["expect"]
    assert set(expect) <= KEYS and expect
    outcome = outcome_of(number)
    if "error" in expect:
        assert isinstance(outcome, InputError)
        assert [problem.code for problem in outcome.problems] == [expect["error"]]
        return
    assert not isinstance(outcome, InputError), str(outcome)
    choice = outcome.plan.choice
    if "choice" in expect:
        if expect["choice"] is None:
            assert choice is None
        else:
            assert choice is not None, [(r.candidate.id, [x.row for x in r.reasons]) for r in outcome.plan.rejected]
            words = choice_json(choice)
            assert {key: words[key] for key in expect["choice"]} == expect["choice"]
    if "settings" in expect:
        assert choice is not None
        assert {key: choice.settings.get(key) for key in expect["settings"]} == expect["settings"]
    for name, rows in (expect.get("rejected") or {}).items():
        found = [{reason.row for reason in r.reasons} for r in outcome.plan.rejected if named(r, name)]
        assert any(set(rows) <= reasons for reasons in found), found
    for name in expect.get("figures") or ():
        first = next(r for r in outcome.plan.rejected if named(r, name))
        assert first.candidate.memory is not None
        assert first.candidate.memory.weights > 0
        assert first.candidate.kv_cache is not None
    warnings = {reason.row for reason in outcome.plan.warnings}
    assert set(expect.get("warnings") or ()) <= warnings
    assert not set(expect.get("no_warnings") or ()) & warnings
    for step, rows in (expect.get("trace") or {}).items():
        assert set(rows) <= {trace.row for trace in outcome.plan.trace if trace.step == step}


def reached() -> dict[str, set[str]]:
    """Rows by table that the cases name."""
    found: dict[str, set[str]] = {table: set() for table in TABLES}
    for case in CASES:
        expect = case["expect"]
        for rows in (expect.get("rejected") or {}).values():
            found["reject"] |= set(rows)
        found["warn"] |= set(expect.get("warnings") or ())
        for step, rows in (expect.get("trace") or {}).items():
            found[step] |= set(rows)
    return found


@pytest.mark.parametrize("table", TABLES)
def test_every_row_has_a_case(table: str) -> None:
    """A row without a case is a row that nobody has seen work; a case may not name a row that is not there."""
    rows = {row.id for row in book().tables[table].rows}
    cases = reached()[table]
    assert cases - rows == set()
    assert rows - cases - set(UNREACHED) == set()
    assert not {row for row in UNREACHED if row in rows} & cases


def test_ids_are_unique() -> None:
    ids = [case["id"] for case in CASES]
    assert len(ids) == len(set(ids))


def test_the_cases_are_quick() -> None:
    """All of them, decided anew."""
    start = time.perf_counter()
    for case in CASES:
        if "error" not in case["expect"]:
            plan(case["given"], folder=FOLDER / "files")
    assert time.perf_counter() - start < SECONDS

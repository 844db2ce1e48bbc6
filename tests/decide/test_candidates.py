"""Cases of the rule set `default`: a spec and what must be true of its decision. Every row of its tables is named by one.

A case (`tests/cases/default/*.yaml`) pins what it is not about, so that it stands when judgement moves. `gen-deploy test`
runs the same cases; here each has a test of its own.
"""

from __future__ import annotations

import time

import pytest
from plans import ROOT, book

from generator.cases.case import Case, read_cases
from generator.cases.compare import run

FOLDER = ROOT / "tests/cases/default"
CASES: list[Case] = read_cases(sorted(FOLDER.glob("*.yaml")))
TABLES = ("reject", "warn", "fit", "settings", "quantize", "prefer", "workload")
SECONDS = 30.0

UNREACHED: dict[str, str] = {"measured-loss": "the shipped rules hold no measurement; tests/calibrate/test_quality.py writes one"}
"""Rows that no case can reach, and why."""


@pytest.mark.parametrize("case", CASES, ids=[case.id for case in CASES])
def test_case(case: Case) -> None:
    assert [f"{one.place}: {one.message}" for one in run(case, book()).differences] == []


def reached() -> dict[str, set[str]]:
    """Rows by table that the cases name."""
    found: dict[str, set[str]] = {table: set() for table in TABLES}
    for case in CASES:
        expect = case.expect
        for rows in (expect.get("rejected") or {}).values():
            found["reject"] |= set(rows)
        found["warn"] |= set(expect.get("warnings") or ())
        for named in (expect.get("trace") or {}, expect.get("rows") or {}):
            for table, rows in named.items():
                found[table] |= set(rows)
    return found


@pytest.mark.parametrize("table", TABLES)
def test_every_row_has_a_case(table: str) -> None:
    """A row without a case is a row that nobody has seen work; a case may not name a row that is not there."""
    rows = {row.id for row in book().tables[table].rows}
    cases = reached()[table]
    assert cases - rows == set()
    assert rows - cases - set(UNREACHED) == set()
    assert not {row for row in UNREACHED if row in rows} & cases


def test_the_cases_are_quick() -> None:
    """All of them, decided anew."""
    start = time.process_time()
    for case in CASES:
        run(case, book())
    assert time.process_time() - start < SECONDS

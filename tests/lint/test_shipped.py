"""The rule sets that ship are clean, every row of theirs is reached, and findings are printed in each format."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pytest
from click.testing import CliRunner

from generator.cli.lint import command, lint
from generator.errors import Place, Problem
from generator.report.findings import FORMATS, as_format

ROOT = Path(__file__).resolve().parents[2]
SETS = ["default", "handbook", *sorted(str(p.parent) for p in (ROOT / "examples/policies").glob("*/ruleset.yaml"))]
DAY = date(2026, 12, 1)
FOUND = [
    Problem("gap", "no row sets port: 100 %", Place("rules/a,b.yaml", 3, 5)),
    Problem("stale-source", "old", Place("rules/c.yaml", 1, 2), "warning"),
    Problem("unused-name", "x", Place("rules/c.yaml", 9, 9), "note"),
]


@pytest.mark.parametrize("rules", SETS)
def test_no_errors(rules: str) -> None:
    assert [str(p) for p in lint(rules, DAY) if p.severity == "error"] == []


def test_years_later_sources_are_stale_and_still_no_errors() -> None:
    found = lint("default", date(2029, 1, 1), no_cases=True)
    assert {p.severity for p in found if p.code in ("stale-source", "stale-threshold")} == {"warning"}
    assert sum(p.code == "stale-source" for p in found) > 100
    assert not [p for p in found if p.severity == "error"]


def test_a_row_without_a_case_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # away from this repository's own project file, whose specs would reach it
    (tmp_path / "ruleset.yaml").write_text("ruleset: {name: ours, extends: default}\n")
    (tmp_path / "reject.yaml").write_text("table: reject\nrows:\n  - {id: no-tgi, when: {engine: tgi}, because: x, source: tgi-archived}\n")
    assert [(p.code, p.place and p.place.line) for p in lint(str(tmp_path), DAY)] == [("not-reached", 3)]
    (tmp_path / "cases").mkdir()
    case = "- id: one\n  given: {model: Qwen/Qwen2.5-7B-Instruct, hardware: {gpu: A100-80GB}}\n  expect: {rejected: {tgi: [no-tgi]}}\n"
    (tmp_path / "cases/one.yaml").write_text(case)
    assert lint(str(tmp_path), DAY) == []


def test_text() -> None:
    text = as_format(FOUND, "text")
    assert text.splitlines() == [
        "rules/a,b.yaml:3:5: error[gap]: no row sets port: 100 %",
        "rules/c.yaml:1:2: warning[stale-source]: old",
        "1 error, 1 warning, 1 note (-v shows the notes)",
    ]
    assert "unused-name" in as_format(FOUND, "text", verbose=True)


def test_github() -> None:
    assert as_format(FOUND, "github").splitlines() == [
        "::error file=rules/a%2Cb.yaml,line=3,col=5,title=gap::no row sets port: 100 %25",
        "::warning file=rules/c.yaml,line=1,col=2,title=stale-source::old",
        "::notice file=rules/c.yaml,line=9,col=9,title=unused-name::x",
    ]


def test_json() -> None:
    data = json.loads(as_format(FOUND, "json"))
    assert data["counts"] == {"error": 1, "warning": 1, "note": 1}
    assert data["findings"][0] == {
        "file": "rules/a,b.yaml",
        "line": 3,
        "column": 5,
        "code": "gap",
        "severity": "error",
        "message": "no row sets port: 100 %",
        "use": None,
    }


@pytest.mark.parametrize("kind", FORMATS)
def test_command_fails_on_errors(kind: str, tmp_path: Path) -> None:
    (tmp_path / "ruleset.yaml").write_text("ruleset: {name: ours, extends: default}\n")
    (tmp_path / "reject.yaml").write_text("table: reject\nrows:\n  - {id: one, when: {engin: vllm}, because: x}\n")
    result = CliRunner().invoke(command, ["--rules", str(tmp_path), "--format", kind], standalone_mode=False)
    assert result.return_value == 1
    assert "unknown-name" in result.output
    (tmp_path / "reject.yaml").write_text("table: reject\nrows: []\n")
    result = CliRunner().invoke(command, ["--rules", str(tmp_path), "--format", kind], standalone_mode=False)
    assert result.return_value == 0

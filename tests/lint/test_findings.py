"""Each kind of finding, at its place: small rule sets with something wrong (`findings.yaml`)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from rule_sets import TODAY, of, write

from generator.cli.lint import lint

CASES: list[dict[str, Any]] = yaml.safe_load(Path(__file__).with_name("findings.yaml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_finding(case: dict[str, Any], tmp_path: Path) -> None:
    """Exactly these findings; at `*`: an error that stands in a file of the rules below."""
    elsewhere = any(wanted["at"] == "*" for wanted in case["finds"])
    write(tmp_path, case["files"])
    every = lint(str(tmp_path), TODAY, no_cases=True)
    found = [p for p in every if (p.severity == "error" if elsewhere else of(tmp_path, p))]
    shown = [str(p) for p in found]
    wanted = sorted((w["code"], w.get("severity", "error"), w["at"]) for w in case["finds"])
    got = sorted({(p.code, p.severity, "*" if elsewhere else str(p.place).removeprefix(f"{tmp_path}/")) for p in found})
    assert got == wanted, shown
    for one in case["finds"]:
        assert any(p.code == one["code"] and one.get("says", "") in p.message for p in found), shown

"""What a forge shows and runs: workflows call the scripts of .ci/ and may only read, forms ask for what helps."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
FORMS = sorted(path for path in (ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml") if path.name != "config.yml")
KINDS = {"markdown", "textarea", "input", "dropdown", "checkboxes"}


def read(path: Path) -> Any:
    """A YAML file of the forge."""
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def steps(path: Path) -> list[dict[str, Any]]:
    """All steps of a workflow."""
    return [step for job in read(path)["jobs"].values() for step in job["steps"]]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_may_little_and_end(path: Path) -> None:
    workflow = read(path)
    assert workflow["permissions"] == {"contents": "read"}
    assert all("timeout-minutes" in job for job in workflow["jobs"].values())


def test_workflows_call_what_runs_here() -> None:
    said = {path.stem: [step.get("run", "") for step in steps(path)] for path in WORKFLOWS}
    assert ".ci/run" in said["ci"] and ".ci/run" in said["release"]
    assert any(run.startswith(".ci/docs") for run in said["docs"])
    assert any("@tests/portable.txt" in run for run in said["ci"])
    assert ".ci/docs" in (ROOT / ".ci/run").read_text(encoding="utf-8")


def test_what_windows_runs_is_there() -> None:
    names = (ROOT / "tests/portable.txt").read_text(encoding="utf-8").split()
    assert all((ROOT / name).exists() for name in names)
    assert "tests/test_portable.py" in names


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.name)
def test_issue_forms(path: Path) -> None:
    form = read(path)
    assert {"name", "description", "body"} <= form.keys()
    fields = [entry for entry in form["body"] if entry["type"] != "markdown"]
    assert {entry["type"] for entry in form["body"]} <= KINDS
    assert len({entry["id"] for entry in fields}) == len(fields)
    assert all(entry["attributes"]["label"] for entry in fields)
    assert any((entry.get("validations") or {}).get("required") for entry in fields)


def test_a_wrong_estimate_asks_for_the_shared_row() -> None:
    assert [path.stem for path in FORMS] == ["bug", "new-model-or-gpu", "wrong-estimate"]
    form = read(ROOT / ".github/ISSUE_TEMPLATE/wrong-estimate.yml")
    asked = {entry["id"]: entry for entry in form["body"] if "id" in entry}
    assert "calibrate --share" in asked["share"]["attributes"]["label"]
    assert asked["share"]["validations"]["required"]


def test_contributing_has_a_guide_for_each_kind_of_change() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    for kind in ("GPU", "model", "method", "generation of GPUs", "model family", "engine version", "rule", "platform", "engine"):
        assert re.search(rf"^\| an? {kind} \|.+\(docs/rules-how-to\.md#[\w-]+\) \|$", text, re.MULTILINE), kind

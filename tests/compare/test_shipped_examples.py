"""A threshold of the shipped rules is edited, and about three of the shipped examples decide differently: told in at most 15 lines."""

from __future__ import annotations

import contextlib
import io
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from repository import ENVIRONMENT, ROOT, git, repository, rules_tree

from generator.cli.main import main
from generator.report.diff import FORMATS, MARKER

EXAMPLES = ("examples", "examples/all-engines")
PROJECT = "specs: [examples/*.yaml, examples/all-engines/*.yaml]\nout: out\n"
THRESHOLDS = "rules/default/thresholds/policy.yaml"
NAME, OLD, NEW = "headroom.floor", 0.02, 0.04
MOST_LINES = 15


@pytest.fixture(scope="module")
def edited(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository of the shipped rules and examples, with one number edited."""
    folder = tmp_path_factory.mktemp("examples")
    rules_tree(folder)
    for name in (*EXAMPLES, "examples/configs", "examples/models"):
        for path in (ROOT / name).iterdir():
            if path.is_file():
                (folder / name).mkdir(parents=True, exist_ok=True)
                shutil.copy(path, folder / name)
    repository(folder, {"gen-deploy.yaml": PROJECT})
    text = (folder / THRESHOLDS).read_text(encoding="utf-8")
    text, times = re.subn(rf"(?m)^(  {re.escape(NAME)}: .*)\bvalue: {OLD},", rf"\g<1>value: {NEW},", text)
    assert times == 1
    (folder / THRESHOLDS).write_text(text, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def told(edited: Path) -> Iterator[dict[str, str]]:
    """What a diff says in each format; `--exit-code` asks for 3."""
    found = {}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ENVIRONMENT.items():
            if name.startswith("GIT_"):
                patch.setenv(name, value)
        patch.chdir(edited)
        for form in FORMATS:
            out, err = io.StringIO(), io.StringIO()
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                code = main(["diff", "main", "--format", form, "--exit-code"])
            assert (code, err.getvalue()) == (3, "")
            found[form] = out.getvalue()
        yield found


def test_told_in_fifteen_lines(told: dict[str, str]) -> None:
    """The verdict; each spec, old → new, with the row and the number; the edit and whom it touches; the files in a line."""
    data = json.loads(told["json"])
    changed = [change for change in data["changes"] if change["decisive"]]
    assert data["specs"] == sum(len(list((ROOT / folder).glob("*.yaml"))) for folder in EXAMPLES) >= 42
    assert 1 <= len([change for change in changed if change["level"] != "settings"]) <= 4, "another number flips a few of the examples now: name it here"
    lines = told["text"].splitlines()
    assert len(lines) <= MOST_LINES
    assert lines[0].startswith(f"{len(changed)} of {data['specs']} specs decide differently: ")
    assert lines[0].endswith(f"{data['specs'] - len(changed)} decide as before.")
    for change in changed:
        at = next(i for i, line in enumerate(lines) if line.startswith(f"{change['name']}: "))
        if change["level"] == "settings":  # told by what is set
            continue
        assert change["old"] in lines[at]
        assert (change["new"] or "no longer fits") in lines[at]
        assert re.search(rf"  \S+ rejects \S+: .*{re.escape(NAME)} {OLD} → {NEW} \[rules/default/reject\.yaml:\d+\]$", lines[at + 1])
    (line,) = [line for line in lines if line.startswith(f"  {NAME} {OLD} → {NEW} (fraction, ")]
    assert line.partition(": changes ")[2].split(", ") == [change["name"] for change in changed]
    assert any(line.startswith("files: ") for line in lines)


def test_the_comment_and_the_annotations_say_the_same(told: dict[str, str]) -> None:
    verdict = told["text"].splitlines()[0]
    comment = told["markdown"].splitlines()
    assert comment[:2] == [MARKER, f"### {verdict}"]
    table = [line for line in comment if line.startswith("| `")]
    assert sum(f"{NAME} {OLD} → {NEW}" in line for line in table) == len(table) >= 3
    annotations = told["github"].splitlines()
    assert annotations[-1] == f"::notice title=gen-deploy diff::{verdict}"
    assert len([line for line in annotations if line.startswith(("::error file=examples/", "::warning file=examples/"))]) == len(table) - 1


@pytest.mark.usefixtures("told")
def test_the_checkout_is_as_it_was(edited: Path) -> None:
    assert git(edited, "status", "--porcelain") == f"M {THRESHOLDS}"

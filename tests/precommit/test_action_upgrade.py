"""The Action on a pull request that only changes the version of gen-deploy: its Diff and Comment steps, with two versions and one repository."""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path

import pytest
from test_action import GH, Runner
from two_versions import OLD, ROOT, branch, locked, older_version, written

from generator import __version__

pytestmark = [pytest.mark.slow, pytest.mark.skipif(shutil.which("jq") is None, reason="needs jq")]


def commented(base: Path, lock: bool) -> tuple[str, str]:
    """What the step says in `changed`, and the comment."""
    (base / "run").mkdir()
    runner = Runner(base / "run")
    older = older_version(base / "older")
    folder = written(base / "project", older)
    if lock:
        locked(folder, older)
    branch(folder)
    runner.program("gh", GH)
    (runner.base / "comments.json").write_text(json.dumps([]))
    runner.installed(f'PYTHONPATH={ROOT} exec {sys.executable} -m generator "$@"\n')
    done = runner.step("Diff", cwd=folder, BASE="main")
    assert done.returncode == 0, done.stdout + done.stderr
    changed = runner.output.read_text().strip()
    assert runner.step("Comment", REPOSITORY="o/r", NUMBER="7", CHANGED=changed.removeprefix("changed="), GH_TOKEN="t").returncode == 0
    calls = (runner.base / "gh.log").read_text().splitlines()
    assert len([call for call in calls if "--method" in call]) == 1, "one comment"
    return changed, (runner.base / "body").read_text()


def test_one_comment_names_the_change(tmp_path: Path) -> None:
    changed, comment = commented(tmp_path, lock=False)
    assert changed == "changed=true"
    assert "### 1 of 2 specs decides differently: 1 changes engine." in comment
    assert re.search(rf"\| `chat` \| `sglang [^|]* → vllm [^|]*` \| `gen-deploy {re.escape(OLD)} → {re.escape(__version__)}`", comment)


def test_with_the_lock_none_but_the_note(tmp_path: Path) -> None:
    changed, comment = commented(tmp_path, lock=True)
    assert changed == "changed=false"
    assert "### No decision changes." in comment and "→ vllm" not in comment
    (line,) = [line for line in comment.splitlines() if line.startswith("**Kept**")]
    assert line.startswith("**Kept**: 1 spec keeps its choice; ") and line.endswith("Its launch files stay as they are.")

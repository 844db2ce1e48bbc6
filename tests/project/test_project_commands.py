"""Commands in a project: one corpus, one output folder; edits by hand are shown, and other people's files left alone."""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
from pathlib import Path

import pytest

from generator import __version__
from generator.cli.main import main

ROOT = Path(__file__).resolve().parents[2]
SPEC = "model: Qwen/Qwen2.5-7B-Instruct\nhardware: {gpu: L4-24GB}\n"
FILES = ("PLAN.md", "manifest.json", "plan.json", "smoke.sh", "vllm/serve.sh")


def run(*words: str) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(list(words))
    return code, out.getvalue(), err.getvalue()


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two specs and a project file; the command runs there."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "specs").mkdir()
    for name in ("a", "b"):
        (tmp_path / f"specs/{name}.yaml").write_text(SPEC)
    (tmp_path / "gen-deploy.yaml").write_text("specs: [specs/*.yaml]\nout: deploy\n")
    return tmp_path


def generated(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def test_everything_is_generated_and_checked(project: Path) -> None:
    assert run()[0] == 0
    assert {f"{name}/{file}" for name in "ab" for file in FILES} <= set(generated(project / "deploy"))
    assert run("check")[:2] == (0, "deploy/a: as generated\ndeploy/b: as generated\n")


def test_from_a_folder_below(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project / "specs")
    assert run("-q")[0] == 0
    assert {f"{name}/{file}" for name in "ab" for file in FILES} <= set(generated(project / "deploy"))
    assert run("check", "-q")[0] == 0


def test_one_spec_and_another_folder(project: Path) -> None:
    assert run("specs/a.yaml", "-q")[0] == 0
    assert run("-o", "elsewhere", "-q")[0] == 0
    assert sorted(p.name for p in (project / "deploy").iterdir()) == ["a", "gen-deploy.json"]
    assert sorted(p.name for p in (project / "elsewhere").iterdir()) == ["a", "b", "gen-deploy.json"]


def test_without_a_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("check")[0] == 2
    assert run()[0] == 2
    assert "gen-deploy.yaml" in run("generate")[2]


def test_a_wrong_project_file_is_told(project: Path) -> None:
    (project / "gen-deploy.yaml").write_text("specs: [specs/*.yaml]\nouts: deploy\n")
    for words in ((), ("check",), ("specs/a.yaml", "-q")):
        code, _, err = run(*words)
        assert code == 1
        assert "gen-deploy.yaml:2:1: error[unknown-key]: 'outs' is not a known key; did you mean 'out'?" in err


def test_the_project_file_is_no_spec(project: Path) -> None:
    code, _, err = run("gen-deploy.yaml", "-o", "x")
    assert (code, "error[project-file]" in err) == (1, True)


def test_an_edit_by_hand_is_shown_and_kept(project: Path) -> None:
    run("-q")
    path = project / "deploy/a/vllm/serve.sh"
    path.write_text(path.read_text() + "# mine\n")
    code, out, err = run("check")
    assert code == 3
    assert "deploy/a/vllm/serve.sh: edited by hand" in out
    assert "    +# mine" in out
    assert "extra_args" in err
    assert "--force" in err
    (project / "specs/a.yaml").write_text(SPEC + "deploy: {port: 9000}\n")
    code, _, err = run("-q")
    assert code == 5
    assert "+# mine" in err
    assert "extra_args" in err
    assert path.read_text().endswith("# mine\n")
    assert "9000" not in (project / "deploy/a/smoke.sh").read_text()
    assert run("--force", "-q")[0] == 0
    assert "# mine" not in path.read_text()


def test_what_generating_again_would_change(project: Path) -> None:
    run("-q")
    (project / "specs/a.yaml").write_text(SPEC + "deploy: {port: 9000}\n")
    code, out, _ = run("check", "-v")
    assert code == 3
    assert "deploy/a/smoke.sh: out of date" in out
    assert "9000" in out
    assert "9000" not in run("check")[1]


def test_a_spec_that_is_gone(project: Path) -> None:
    run("-q")
    mine = project / "deploy/b/notes.txt"
    mine.write_text("mine")
    (project / "deploy/own").mkdir()
    (project / "deploy/own/manifest.json").write_text('{"by": "somebody else"}')
    (project / "specs/b.yaml").unlink()
    code, out, _ = run("check")
    assert code == 3
    assert "deploy/b: stale; no spec has this name" in out
    assert "own" not in out
    assert "deploy/b: stale" in run()[2]
    assert (project / "deploy/b/plan.json").is_file()
    assert run("--prune", "-q")[0] == 0
    assert generated(project / "deploy/b") == ["notes.txt"]
    assert generated(project / "deploy/own") == ["manifest.json"]
    assert run("check", "-q")[0] == 0


def test_what_was_edited_in_a_spec_that_is_gone_stays(project: Path) -> None:
    run("-q")
    (project / "deploy/b/PLAN.md").write_text("mine")
    (project / "specs/b.yaml").unlink()
    run("--prune", "-q")
    assert generated(project / "deploy/b") == ["PLAN.md", "manifest.json"]
    run("--prune", "--force", "-q")
    assert not (project / "deploy/b").exists()


def test_some_specs_do_not_make_the_others_stale(project: Path) -> None:
    run("-q")
    assert run("specs/a.yaml", "-o", "deploy", "--prune", "-q")[0] == 0
    assert (project / "deploy/b/plan.json").is_file()


def test_the_exit_code_for_hooks(project: Path) -> None:
    code, _, err = run("--exit-code", "-q")
    assert (code, "files changed; add them to the commit" in err) == (3, True)
    assert run("--exit-code", "-q")[0] == 0
    subprocess.run(["git", "init", "--quiet", "."], cwd=project, check=True)
    code, _, err = run("--exit-code", "-q")
    assert (code, "not in git yet" in err) == (3, True)
    subprocess.run(["git", "add", "."], cwd=project, check=True)
    assert run("--exit-code", "-q")[0] == 0
    (project / "specs/b.yaml").unlink()
    code, _, err = run("--exit-code", "-q")
    assert (code, "1 stale (--prune removes them): deploy/b" in err) == (3, True)
    assert run("--exit-code", "--prune", "-q")[0] == 3
    assert run("--exit-code", "-q")[0] == 0


def test_one_process_generates_and_lints(project: Path) -> None:
    """What `--lint` adds is what `lint` says; the shipped rules were linted when they were released."""
    assert run("--lint", "-q") == (0, "", run("-q")[2])
    rules = project / "house"
    rules.mkdir()
    (rules / "ruleset.yaml").write_text("ruleset: {name: house, extends: default}\n")
    row = "{id: no-l40s, when: {gpu: L40S-48GB}, because: we have none, source: house}"
    (rules / "reject.yaml").write_text(f"table: reject\nrows: [{row}]\n")
    (rules / "sources.yaml").write_text("sources: {house: {title: The wiki, where: its page on GPUs, read: 2026-01-01}}\n")
    code, said, _ = run("lint", "--rules", "house")
    assert run("--rules", "house", "--lint", "-q")[:2] == (code, said)
    assert (code, "error" in said) == (1, True)


def test_a_killed_run_is_recovered_from(project: Path) -> None:
    """Half of the new files are in place, the manifest says so, and the staging folder and the lock lie about."""
    run("-q")
    folder = project / "deploy/a"
    old = {name: (folder / name).read_bytes() for name in generated(folder)}
    (project / "specs/a.yaml").write_text(SPEC + "deploy: {port: 9000}\n")
    run("-q")
    manifest = json.loads((folder / "manifest.json").read_text())
    before = json.loads(old["manifest.json"])["files"]
    (folder / "manifest.json").write_text(json.dumps({**manifest, "unfinished": before}))
    (folder / "PLAN.md").write_bytes(old["PLAN.md"])
    next(folder.glob("*/*.env")).unlink()
    (folder / ".gen-deploy.k1ll_ed0/new").mkdir(parents=True)
    (project / "deploy/.gen-deploy.lock").touch()
    (project / "specs/a.yaml").write_text(SPEC + "deploy: {port: 9001}\n")
    said = run("check")[1]
    assert "edited" not in said
    assert "manifest.json: an interrupted run left this folder incomplete" in said
    code, _, err = run("-q")
    assert (code, err) == (0, "")
    assert "9001" in (folder / "smoke.sh").read_text()
    assert run("check", "-q")[0] == 0
    assert sorted(path.name for path in (project / "deploy").iterdir()) == ["a", "b", "gen-deploy.json"]
    assert not list(folder.glob(".gen-deploy*"))


def test_init_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".pre-commit-config.yaml").write_text("repos: []\n")
    assert run("init", "--project")[0] == 0
    assert (tmp_path / ".pre-commit-config.yaml").read_text() == "repos: []\n"
    assert run("init", "specs/chat.yaml")[0] == 0
    assert run("-q")[0] == 0
    assert run("check", "-q")[0] == 0
    assert "already exists" in run("init", "--project", "--force")[1]


@pytest.mark.parametrize(
    ("example", "written"),
    [("gen-deploy.yaml", "gen-deploy.yaml"), ("pre-commit-config.yaml", ".pre-commit-config.yaml"), ("workflow.yml", ".github/workflows/gen-deploy.yml")],
)
def test_the_examples_are_what_init_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, example: str, written: str) -> None:
    monkeypatch.chdir(tmp_path)
    run("init", "--project")
    assert (ROOT / "examples/ci" / example).read_text() == (tmp_path / written).read_text()
    assert "{version}" not in (tmp_path / written).read_text()
    assert __version__ in (tmp_path / written).read_text() or example == "gen-deploy.yaml"

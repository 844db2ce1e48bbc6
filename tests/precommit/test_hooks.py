"""The pre-commit hooks: with the real framework, from a clone of this repository, in a real repository.

Slow: the framework installs gen-deploy, and PyPI has to be reachable.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
HOOKS = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
SPEC = "model: Qwen/Qwen2.5-7B-Instruct\nhardware: {gpu: L4-24GB}\n"


def test_the_hooks_are_commands_of_ours() -> None:
    from generator.cli.main import COMMANDS

    assert [hook["id"] for hook in HOOKS] == ["gen-deploy", "gen-deploy-check", "gen-deploy-lint"]
    for hook in HOOKS:
        program, command, *_ = hook["entry"].split()
        assert program == "gen-deploy"
        assert command in COMMANDS
        assert (hook["language"], hook["pass_filenames"], hook["always_run"], hook["require_serial"]) == ("python", False, True, True)


class Sandbox:
    """A repository with the hooks, and the framework in an environment of its own."""

    def __init__(self, base: Path) -> None:
        self.base, self.repo, self.hooks = base, base / "repo", base / "hooks"
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith(("GIT_", "PRE_COMMIT", "PYTHON"))}
        self.environment |= {
            "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull, "GIT_AUTHOR_NAME": "T", "GIT_AUTHOR_EMAIL": "t@example.org",
            "GIT_COMMITTER_NAME": "T", "GIT_COMMITTER_EMAIL": "t@example.org", "PRE_COMMIT_HOME": str(base / "home"), "TMPDIR": str(base),
        }  # fmt: skip

    def run(self, *words: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(word) for word in words], cwd=cwd or self.repo, env=self.environment, capture_output=True, text=True, check=False, timeout=600
        )

    def must(self, *words: str | Path, cwd: Path | None = None) -> str:
        done = self.run(*words, cwd=cwd)
        assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def commit(self) -> subprocess.CompletedProcess[str]:
        """`git commit` of everything that is staged, with the hooks."""
        return self.run("git", "commit", "-m", "x")


def clone(target: Path, sandbox: Sandbox) -> str:
    """This repository as it is now, as a repository with one commit; returns the commit."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, check=True
    ).stdout.decode()
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file() and not name.startswith(("tests/", "examples/")):
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    sandbox.must("git", "init", "--quiet", cwd=target)
    sandbox.must("git", "add", ".", cwd=target)
    sandbox.must("git", "commit", "--quiet", "-m", "hooks", cwd=target)
    return sandbox.must("git", "rev-parse", "HEAD", cwd=target).strip()


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    found = Sandbox(tmp_path_factory.mktemp("pre-commit"))
    found.hooks.mkdir()
    (found.repo / "specs").mkdir(parents=True)
    rev = clone(found.hooks, found)
    found.must(sys.executable, "-m", "venv", found.base / "venv", cwd=found.base)
    program = found.base / "venv/bin/pre-commit"
    found.must(found.base / "venv/bin/pip", "install", "--quiet", "--disable-pip-version-check", "pre-commit", cwd=found.base)
    found.must("git", "init", "--quiet", "--initial-branch=main")
    hooks = [{"id": hook["id"]} for hook in HOOKS]
    (found.repo / ".pre-commit-config.yaml").write_text(yaml.safe_dump({"repos": [{"repo": str(found.hooks), "rev": rev, "hooks": hooks}]}))
    (found.repo / "gen-deploy.yaml").write_text("specs: [specs/*.yaml]\nout: deploy\n")
    (found.repo / "specs/chat.yaml").write_text(SPEC)
    found.must(program, "validate-manifest", ROOT / ".pre-commit-hooks.yaml")
    found.must(program, "install", "--install-hooks")
    yield found
    shutil.rmtree(found.base, ignore_errors=True)


@pytest.mark.slow
def test_a_history(sandbox: Sandbox) -> None:
    """One repository through what happens to it."""
    # new files appear: the commit fails, with them added it goes through
    sandbox.must("git", "add", ".")
    done = sandbox.commit()
    assert done.returncode == 1, done.stdout + done.stderr
    assert "files changed; add them to the commit: deploy/chat/" in done.stdout + done.stderr
    done = sandbox.commit()
    assert done.returncode == 1
    assert "not in git yet" in done.stdout + done.stderr
    sandbox.must("git", "add", ".")
    done = sandbox.commit()
    assert done.returncode == 0, done.stdout + done.stderr

    # a spec is edited: its files change
    (sandbox.repo / "specs/chat.yaml").write_text(SPEC + "deploy: {port: 9000}\n")
    sandbox.must("git", "add", ".")
    done = sandbox.commit()
    assert done.returncode == 1
    assert "9000" in (sandbox.repo / "deploy/chat/smoke.sh").read_text()
    sandbox.must("git", "add", ".")
    assert sandbox.commit().returncode == 0

    # a generated file is edited by hand: refused, shown, and kept
    path = sandbox.repo / "deploy/chat/vllm/serve.sh"
    path.write_text(path.read_text() + "# mine\n")
    sandbox.must("git", "add", ".")
    done = sandbox.commit()
    said = done.stdout + done.stderr
    assert done.returncode == 1
    assert "+# mine" in said
    assert "edited-by-hand" in said
    assert path.read_text().endswith("# mine\n")
    sandbox.must("git", "checkout", "--quiet", "HEAD", "--", ".")

    # what is not staged does not count
    (sandbox.repo / "specs/chat.yaml").write_text(SPEC + "deploy: {port: 9001}\n")
    (sandbox.repo / "README.md").write_text("x\n")
    sandbox.must("git", "add", "README.md")
    done = sandbox.commit()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "9001" in (sandbox.repo / "specs/chat.yaml").read_text()
    sandbox.must("git", "checkout", "--quiet", "HEAD", "--", ".")

    # a spec that is wrong, and one that is gone
    (sandbox.repo / "specs/bad.yaml").write_text("model: x\n")
    sandbox.must("git", "add", ".")
    done = sandbox.commit()
    assert done.returncode == 1
    assert "specs/bad.yaml:1:1: error[missing-key]" in done.stdout + done.stderr
    sandbox.must("git", "rm", "--quiet", "-f", "specs/bad.yaml")
    (sandbox.repo / "specs/other.yaml").write_text(SPEC)
    sandbox.must("git", "rm", "--quiet", "specs/chat.yaml")
    sandbox.must("git", "add", ".")
    done = sandbox.commit()
    assert done.returncode == 1
    assert "deploy/chat: stale; no spec has this name" in done.stdout + done.stderr

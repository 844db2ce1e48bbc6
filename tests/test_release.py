"""A release: refused without its section, tag or addresses; its workflow is pinned and stores no token."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
URLS = 'Repository = "https://github.com/o/n"\nIssues = "https://github.com/o/n/issues"\n'
CHANGES = "# Changelog\n\n## [1.2.0] - 2027-01-15\n\n- new\n\n## [1.1.0] - 2026-12-01\n\n- old\n"


def release(root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """scripts/release.py of a repository."""
    (root / "scripts").mkdir(exist_ok=True)
    (root / "scripts/release.py").write_bytes((ROOT / "scripts/release.py").read_bytes())
    return subprocess.run([sys.executable, "scripts/release.py", *words], cwd=root, capture_output=True, text=True, check=False)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """One that can be released as v1.2.0 of o/n."""
    (tmp_path / "generator").mkdir()
    (tmp_path / "generator/__init__.py").write_text('__version__ = "1.2.0"\n')
    (tmp_path / "pyproject.toml").write_text(f"[project]\nname = 'x'\n[project.urls]\n{URLS}")
    (tmp_path / "CHANGELOG.md").write_text(CHANGES)
    return tmp_path


def test_the_notes_are_the_section(repository: Path) -> None:
    done = release(repository, "v1.2.0", "--repository", "o/n")
    assert (done.returncode, done.stdout, done.stderr) == (0, "- new\n", "")


WRONG: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "another tag": (lambda root: None, "v1.1.0", "the tag is v1.1.0, but generator/__init__.py says 1.2.0"),
    "a tag without v": (lambda root: None, "1.2.0", "tag v1.2.0"),
    "no section": (lambda root: (root / "CHANGELOG.md").write_text("# Changelog\n"), "v1.2.0", "no section `## [1.2.0] - YYYY-MM-DD`"),
    "not dated": (lambda root: (root / "CHANGELOG.md").write_text(CHANGES.replace("2027-01-15", "unreleased")), "v1.2.0", "it says 'unreleased'"),
    "empty": (lambda root: (root / "CHANGELOG.md").write_text(CHANGES.replace("- new", "")), "v1.2.0", "is empty"),
    "addresses": (lambda root: (root / "pyproject.toml").write_text(f"[project.urls]\n{URLS.replace('/o/n', '/o/nn')}"), "v1.2.0", "not an address of o/n"),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_release_is_refused(what: str, repository: Path) -> None:
    change, tag, said = WRONG[what]
    change(repository)
    done = release(repository, tag, "--repository", "o/n")
    assert (done.returncode, done.stdout) == (1, "")
    assert said in done.stderr


def test_the_placeholder_is_not_released() -> None:
    done = subprocess.run([sys.executable, "scripts/release.py", "v0", "--repository", "o/n"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "not an address of o/n" in done.stderr


@pytest.mark.parametrize("file", sorted((ROOT / ".github/workflows").glob("*.yml")), ids=lambda file: file.name)
def test_actions_are_pinned_by_commit(file: Path) -> None:
    used = re.findall(r"uses: (\S+)(.*)", file.read_text(encoding="utf-8"))
    assert used and all(re.fullmatch(r"[\w.-]+/[\w.-]+@[0-9a-f]{40}", name) and re.match(r" # v\d", comment) for name, comment in used)


def test_only_the_publishing_job_has_an_identity_and_none_a_token() -> None:
    text = (ROOT / ".github/workflows/release.yml").read_text(encoding="utf-8")
    flow = yaml.safe_load(text)
    assert flow[True] == {"push": {"tags": ["v*"]}}  # YAML 1.1 reads `on` so
    assert flow["permissions"] == {"contents": "read"}
    assert [job.get("permissions") for job in flow["jobs"].values()] == [None, {"id-token": "write"}]
    assert flow["jobs"]["publish"]["needs"] == "build" and flow["jobs"]["publish"]["environment"] == "release"
    assert "secrets." not in text and "password" not in text
    steps = [step.get("run", "") for step in flow["jobs"]["build"]["steps"]]
    assert any("scripts/release.py" in step for step in steps) and "scripts/build_twice.sh dist" in steps and ".ci/run" in steps
    assert not any("${{" in step for step in steps)  # a tag reaches a shell only through the environment

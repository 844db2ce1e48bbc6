"""Two versions of gen-deploy, and a repository that the older one wrote.

The older version is a copy of this one with another number and another order of engines.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from generator import __version__

ROOT = Path(__file__).resolve().parents[1]
OLD = "0.0.9"
ORDER = "order: {engine: [vllm, sglang, "
SPEC = "model: Qwen/Qwen2.5-7B-Instruct\nhardware: {gpu: L4-24GB}\n"
SPECS = {"specs/chat.yaml": SPEC, "specs/pinned.yaml": f"{SPEC}pin: {{engine: vllm}}\n"}
PROJECT = f'specs: [specs/*.yaml]\nout: deploy\nrequires: "=={OLD}"\n'
LOCK = """
import sys
from pathlib import Path
from generator import decide_spec, load_rules, read_spec
from generator.decide.kept import choice_of
from generator.hub.lock import Lock, text_of
choices = {path.stem: choice_of(spec := read_spec(path), decide_spec(spec, load_rules()).plan.choice, None) for path in map(Path, sys.argv[1:])}
Path("gen-deploy.lock").write_text(text_of(Lock(choices=choices)))
"""
ENVIRONMENT = {
    **{key: value for key, value in os.environ.items() if not key.startswith("GIT_")},
    "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull,
    **{f"GIT_{who}_{what}": "test@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
}  # fmt: skip


def older_version(folder: Path) -> Path:
    """The older version in a folder, which is its `PYTHONPATH`."""
    for name in ("generator", "rules", "templates"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name, old, new in (
        ("generator/__init__.py", f'__version__ = "{__version__}"', f'__version__ = "{OLD}"'),
        ("rules/default/prefer.yaml", ORDER, "order: {engine: [sglang, vllm, "),
    ):
        text = (folder / name).read_text(encoding="utf-8")
        assert text.count(old) == 1
        (folder / name).write_text(text.replace(old, new), encoding="utf-8")
    return folder


def run(version: Path, folder: Path, *words: str) -> str:
    """Run a version's gen-deploy, or Python (`-c`), in a folder."""
    command = [sys.executable, *(() if words and words[0] == "-c" else ("-m", "generator")), *words]
    return _done(command, folder, ENVIRONMENT | {"PYTHONPATH": str(version)})


def git(folder: Path, *words: str) -> str:
    """Run git in a folder."""
    return _done(["git", *words], folder, ENVIRONMENT)


def _done(command: list[str], folder: Path, environment: dict[str, str]) -> str:
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def commit(folder: Path) -> None:
    """Commit everything."""
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "change")


def written(folder: Path, older: Path) -> Path:
    """A repository whose main the older version wrote."""
    (folder / "specs").mkdir(parents=True)
    for name, text in {"gen-deploy.yaml": PROJECT, **SPECS}.items():
        (folder / name).write_text(text, encoding="utf-8")
    git(folder, "init", "--quiet", "--initial-branch=main")
    run(older, folder)
    commit(folder)
    return folder


def locked(folder: Path, older: Path) -> None:
    """As the older version would have locked and written it, on main."""
    run(older, folder, "-c", LOCK, *SPECS)
    run(older, folder)
    commit(folder)


def branch(folder: Path) -> None:
    """The pull request: another version is asked for, and nothing else."""
    git(folder, "switch", "--quiet", "--create", "topic")
    (folder / "gen-deploy.yaml").write_text(PROJECT.replace(OLD, __version__), encoding="utf-8")
    commit(folder)

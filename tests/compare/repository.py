"""A git repository to compare in, with rules, specs and a project file of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

ENVIRONMENT = {
    **{key: value for key, value in os.environ.items() if not key.startswith("GIT_")},
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
    "GIT_AUTHOR_NAME": "Test", "GIT_AUTHOR_EMAIL": "test@example.org", "GIT_AUTHOR_DATE": "2026-01-02T03:04:05Z",
    "GIT_COMMITTER_NAME": "Test", "GIT_COMMITTER_EMAIL": "test@example.org", "GIT_COMMITTER_DATE": "2026-01-02T03:04:05Z",
}  # fmt: skip

OURS = {
    "ours/ruleset.yaml": "ruleset: {name: ours, title: Ours}\nextends: default\n",
    "ours/thresholds.yaml": (
        "thresholds:\n"
        "  ours.context_most: {meaning: our longest context, unit: token, value: 100000, source: judgement-headroom, checked: 2026-11-24}\n"
        "  ours.gpus_most: {meaning: our biggest machine, unit: count, value: 8, source: judgement-headroom, checked: 2026-11-24}\n"
    ),
    "ours/reject.yaml": (
        "table: reject\nrows:\n"
        "  - id: ours-context\n    when: {max_context: {over: ours.context_most}}\n    because: our cache is for short contexts\n"
        "    source: judgement-headroom\n"
        "  - id: ours-gpus\n    when: {gpus: {over: ours.gpus_most}}\n    because: we have no bigger machine\n    source: judgement-headroom\n"
    ),
}  # fmt: skip
"""A rule set of one's own with two thresholds, each read by one row."""


def git(folder: Path, *words: str) -> str:
    """Run git in a folder."""
    done = subprocess.run(["git", *words], cwd=folder, env=ENVIRONMENT, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def put(folder: Path, files: Mapping[str, str]) -> None:
    """Write files below a folder."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def commit(folder: Path, message: str = "change") -> str:
    """Commit everything; returns the commit."""
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--allow-empty", "-m", message)
    return git(folder, "rev-parse", "HEAD")


def repository(folder: Path, files: Mapping[str, str]) -> Path:
    """A repository with these files as its first commit, on the branch main."""
    folder.mkdir(parents=True, exist_ok=True)
    git(folder, "init", "--quiet", "--initial-branch=main")
    put(folder, files)
    commit(folder, "first")
    return folder


def spec(gpu: str = "L4-24GB", model: str = "Qwen/Qwen2.5-7B-Instruct", gpus: int = 1, **workload: object) -> str:
    """A spec in a few lines."""
    told = ", ".join(f"{key}: {value}" for key, value in workload.items())
    return f"model: {model}\nhardware: {{gpu: {gpu}, gpus_per_node: {gpus}}}\nworkload: {{{told}}}\n"


def rules_tree(folder: Path) -> None:
    """The shipped rules as a whole `rules/` folder."""
    shutil.copytree(ROOT / "rules", folder / "rules")


PROJECT = "specs: [specs/*.yaml]\nout: deploy\nrules: ours\n"

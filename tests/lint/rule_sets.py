"""Small rule sets laid over `default`, for tests."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path

from generator.errors import Problem

TODAY = date(2026, 12, 1)
RULESET = "ruleset: {name: ours, extends: default}\n"


def write(folder: Path, files: Mapping[str, str]) -> Path:
    """A rule set that extends `default`, with these files in it."""
    for name, text in {"ruleset.yaml": RULESET, **files}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


def of(folder: Path, problem: Problem) -> bool:
    """Whether a finding stands in a file of this set."""
    return problem.place is not None and problem.place.path.startswith(str(folder))

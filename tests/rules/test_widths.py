"""YAML that people read is at most 140 columns wide."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
WIDTH = 140
FILES = [path.relative_to(ROOT).as_posix() for path in sorted(ROOT.glob("rules/**/*.yaml"))]


@pytest.mark.parametrize("name", FILES)
def test_lines_fit_on_a_screen(name: str) -> None:
    """A key with one word that nothing can break, such as an address, may be longer."""
    lines = enumerate((ROOT / name).read_text(encoding="utf-8").splitlines(), 1)
    assert [f"{name}:{n}" for n, line in lines if len(line) > WIDTH and len(line.split()) > 2] == []

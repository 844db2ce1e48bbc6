"""The core (spec, rules, facts, sizing, decide, render, disk) plans and writes without the rooms that only some commands need."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from generator.rulebook.book import load

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("quantize", "calibrate", "report", "compare", "cases", "rulebook/lint", "cli", "hub", "platforms")
"""Rooms that are deleted, one by one and together."""

PROGRAM = """
import sys
from pathlib import Path
from generator import artifacts, decide_spec, load_rules, read_spec
from generator.disk.write import write_spec
book = load_rules()
outcome = decide_spec(read_spec(Path(sys.argv[1])), book)
files = artifacts(outcome.plan, [outcome.plan.choice], book)
print(outcome.plan.choice.id, *write_spec(Path(sys.argv[2]), "chat", files).written)
"""


@pytest.mark.slow
@pytest.mark.parametrize("deleted", [*((room,) for room in ROOMS), ROOMS], ids=lambda rooms: rooms[0] if len(rooms) == 1 else "all")
def test_the_core_stands_without(deleted: tuple[str, ...], tmp_path: Path) -> None:
    """Without all of them it also reads the YAML of the rules; without one it takes them compiled, as from a wheel."""
    shutil.copytree(ROOT / "generator", tmp_path / "generator")
    if deleted != ROOMS:
        load()
        shutil.copytree(ROOT / "compiled", tmp_path / "compiled")
    for name in ("rules", "templates"):
        (tmp_path / name).symlink_to(ROOT / name)
    for room in deleted:
        shutil.rmtree(tmp_path / "generator" / room)
    spec = ROOT / "examples/t4-chat.yaml"
    done = subprocess.run(
        [sys.executable, "-P", "-c", PROGRAM, str(spec), str(tmp_path / "out")],
        cwd=tmp_path, env={"PYTHONPATH": str(tmp_path), "HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "vllm/serve.sh" in done.stdout

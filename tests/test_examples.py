"""The examples: every spec tells its story. Of a dozen the whole output is committed, and is what would be generated now, byte by byte; the
decisions of all are a table in examples/README.md, which `test_docs` compares."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import pytest

from generator.cli.files import decided, rendered
from generator.disk.write import manifest
from generator.render.artifact import Artifact
from generator.rulebook.book import RuleBook, load
from generator.spec.deployment import read_spec

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "examples"
FOLDERS = {"examples": False, "examples/all-engines": True}
"""Folders of specs, and whether they are generated with --all-engines."""
SPECS = [path for folder in FOLDERS for path in sorted((ROOT / folder).glob("*.yaml"))]
WHOLE = [path for path in SPECS if (path.parent / "out" / path.stem).is_dir()]
SCRIPTS = sorted(EXAMPLES.rglob("*.sh"))


def name_of(path: Path) -> str:
    """A path as test ids show it."""
    return path.relative_to(EXAMPLES).as_posix()


@lru_cache
def book() -> RuleBook:
    """The rules, loaded once."""
    return load()


def generated(path: Path) -> Iterator[Artifact]:
    """The files of a spec as the main job writes them, the manifest included."""
    everything = FOLDERS[path.parent.relative_to(ROOT).as_posix()]
    spec = read_spec(path)
    outcome = decided(spec, book())
    assert outcome.plan.choice is not None
    files = rendered(outcome, book(), path.parent / "out", everything)
    yield from files
    yield manifest(files, {"spec": f"../../{path.name}"})


def test_a_dozen_shows_every_engine_and_job() -> None:
    assert 12 <= len(WHOLE) <= 17, "a dozen, and those that end on platforms"
    shown = {folder.name for path in WHOLE for folder in (path.parent / "out" / path.stem).iterdir() if folder.is_dir()}
    assert shown >= {*book().section("engines"), "quantize"}


@pytest.mark.parametrize("path", WHOLE, ids=name_of)
def test_committed_output_is_what_would_be_generated(path: Path) -> None:
    folder = path.parent / "out" / read_spec(path).name
    wanted = {artifact.path: artifact for artifact in generated(path)}
    found = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    assert found == set(wanted), "run scripts/regenerate.sh"
    for name, artifact in wanted.items():
        assert (folder / name).read_bytes() == artifact.data, f"{name} has drifted: run scripts/regenerate.sh"
        assert os.access(folder / name, os.X_OK) is artifact.executable, name


@pytest.mark.parametrize("path", SPECS, ids=name_of)
def test_tells_its_story(path: Path) -> None:
    first = path.read_text(encoding="utf-8").splitlines()[0]
    assert first.startswith("# ")
    assert len(first) > 30, "who runs this, and why?"


def test_there_are_enough_and_no_name_twice() -> None:
    assert len(SPECS) >= 24
    names = [(path.parent, read_spec(path).name) for path in SPECS]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_output_without_a_spec(folder: str) -> None:
    named = {read_spec(path).name for path in SPECS if path.parent == ROOT / folder}
    assert {path.name for path in (ROOT / folder / "out").iterdir()} - {"gen-deploy.json"} <= named


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_every_script_parses() -> None:
    assert SCRIPTS
    bad = []
    for script in SCRIPTS:
        run = subprocess.run(["bash", "-n", str(script)], capture_output=True, text=True, check=False)
        if run.returncode or run.stderr:
            bad.append(f"{name_of(script)}: {run.stderr}")
    assert not bad


def test_names_no_place_of_the_machine_that_made_it() -> None:
    for path in EXAMPLES.rglob("*"):
        if path.is_file():
            assert str(ROOT).encode() not in path.read_bytes(), name_of(path)

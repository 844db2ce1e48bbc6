"""Compiled rule sets: the same data as the YAML, and never trusted when damaged or stale."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from generator.readers import resources
from generator.rulebook.book import SECTIONS, Damaged, RuleBook, compile_to, load, open_compiled, sections_of, write_compiled
from generator.rulebook.rulesets import SHIPPED, find, fingerprint, layers, put_together

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of compiled sets, in place of the checkout's."""
    real = resources.folder
    monkeypatch.setattr(resources, "folder", lambda name: tmp_path / "compiled" if name == "compiled" else real(name))
    return tmp_path / "compiled"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The compiled set `default`, made once."""
    target = tmp_path_factory.mktemp("made") / "default"
    compile_to(target, "default")
    return target


@pytest.fixture
def filled(made: Path, cache: Path) -> Path:
    """A folder of compiled sets that has `default`."""
    shutil.copytree(made, cache / "default")
    return cache


def everything(book: RuleBook) -> dict[str, object]:
    """All sections of a rule set."""
    return {name: book.section(name) for name in SECTIONS}


@pytest.mark.parametrize("name", SHIPPED)
def test_the_cache_holds_what_the_yaml_says(name: str, cache: Path) -> None:
    first = everything(load(name))
    assert [p.name for p in cache.iterdir()] == [name]
    again = load(name)
    assert again._compiled is not None
    assert everything(again) == first == sections_of(put_together(find(name)))


def folder_instead(path: Path) -> None:
    """A folder where a file was."""
    path.unlink()
    path.mkdir()


DAMAGE: dict[str, Callable[[Path], object]] = {
    "a section is cut short": lambda folder: os.truncate(folder / "models.json", 1000),
    "a section is empty": lambda folder: os.truncate(folder / "policy.json", 0),
    "a section is gone": lambda folder: (folder / "gpus.json").unlink(),
    "a section says something else": lambda folder: (folder / "methods.json").write_text("{}"),
    "the index is cut short": lambda folder: os.truncate(folder / "index.json", 20),
    "the index is gone": lambda folder: (folder / "index.json").unlink(),
    "the index is a list": lambda folder: (folder / "index.json").write_text("[]"),
    "the index names no sections": lambda folder: (folder / "index.json").write_text(json.dumps({"fingerprint": "x", "sections": None})),
    "a section is a folder": lambda folder: folder_instead(folder / "quality.json"),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_a_damaged_cache_is_made_again(what: str, filled: Path) -> None:
    whole = everything(load())
    (folder,) = filled.iterdir()
    DAMAGE[what](folder)
    assert everything(load()) == whole
    (folder,) = filled.iterdir()
    healed = load()
    assert healed._compiled is not None
    for name in SECTIONS:
        healed._compiled.section(name)


def test_a_section_nested_too_deep_is_damage(filled: Path) -> None:
    whole = load().section("models")
    (folder,) = filled.iterdir()
    raw = b"[" * 200_000
    index = json.loads((folder / "index.json").read_bytes())
    index["sections"]["models"] = hashlib.sha256(raw).hexdigest()
    (folder / "models.json").write_bytes(raw)
    (folder / "index.json").write_text(json.dumps(index))
    assert load().section("models") == whole
    (folder / "index.json").write_bytes(raw)
    assert load().section("models") == whole


def test_a_cache_that_cannot_be_written_does_not_matter(cache: Path) -> None:
    cache.write_text("a file is in the way")
    assert load().name == "default"
    assert cache.is_file()


def test_two_processes_at_once_are_both_right(cache: Path) -> None:
    program = (
        "from pathlib import Path; from generator.readers import resources; real = resources.folder; "
        f"resources.folder = lambda name: Path({str(cache)!r}) if name == 'compiled' else real(name); "
        "from generator.rulebook.book import load; b = load(); print(b.digest, len(b.section('models')))"
    )
    started = [
        subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) for _ in range(3)
    ]
    said = {process.communicate()[0] for process in started}
    assert len(said) == 1
    assert said == {f"{load().digest} {len(load().section('models'))}\n"}
    assert len(list(cache.iterdir())) == 1


def test_an_edit_of_a_rule_is_seen_at_once(tmp_path: Path) -> None:
    rules = tmp_path / "rules"
    rules.mkdir()
    (rules / "ruleset.yaml").write_text("ruleset: {name: mine}\n")
    before = fingerprint(layers(rules))
    (rules / "ruleset.yaml").write_text("ruleset: {name: ours}\n")
    assert fingerprint(layers(rules)) != before


def test_a_compiled_set_of_other_rules_is_not_opened(tmp_path: Path) -> None:
    compile_to(tmp_path / "set", "handbook")
    assert open_compiled(tmp_path / "set", fingerprint(layers(find("handbook")))) is not None
    assert open_compiled(tmp_path / "set", "another fingerprint") is None


def test_a_failed_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "rename", full)
    assert not write_compiled(tmp_path / "set", "f", {"policy": {}})
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_section_is_damage(tmp_path: Path) -> None:
    write_compiled(tmp_path / "set", "f", {"policy": {}})
    found = open_compiled(tmp_path / "set", "f")
    assert found is not None
    with pytest.raises(Damaged):
        found.section("models")

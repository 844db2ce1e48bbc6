"""Compiled rule sets: the same data as the YAML, and never trusted when damaged, stale, in nobody's home, or in a folder that others can write."""

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
from generator.rulebook import compiled as compiled_rules
from generator.rulebook.book import SECTIONS, RuleBook, compile_to, load, sections_of
from generator.rulebook.compiled import Damaged
from generator.rulebook.rulesets import SHIPPED, find, fingerprint, layers, put_together

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder; the compiled sets that a wheel brings are out of sight."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    real = resources.folder
    monkeypatch.setattr(resources, "folder", lambda name: tmp_path / "none" if name == "compiled" else real(name))
    return tmp_path / "cache" / "gen-deploy" / "rules"


def everything(book: RuleBook) -> dict[str, object]:
    """All sections of a rule set."""
    return {name: book.section(name) for name in SECTIONS}


@pytest.mark.parametrize("name", SHIPPED)
def test_the_cache_holds_what_the_yaml_says(name: str, cache: Path) -> None:
    first = everything(load(name))
    assert [p.name.split("-")[0] for p in cache.iterdir()] == [name]
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
def test_a_damaged_cache_is_made_again(what: str, cache: Path) -> None:
    whole = everything(load())
    (folder,) = cache.iterdir()
    DAMAGE[what](folder)
    assert everything(load()) == whole
    (folder,) = cache.iterdir()
    healed = load()
    assert healed._compiled is not None
    for name in SECTIONS:
        healed._compiled.section(name)


def poisoned(folder: Path) -> None:
    """A section that says something else, with an index that gives its hash: what whoever can write the folder would do."""
    models = json.loads((folder / "models.json").read_bytes())
    raw = json.dumps({**models, "a poisoned entry": {}}).encode()
    index = json.loads((folder / "index.json").read_bytes())
    index["sections"]["models"] = hashlib.sha256(raw).hexdigest()
    (folder / "models.json").write_bytes(raw)
    (folder / "index.json").write_text(json.dumps(index))


def linked(path: Path) -> None:
    """The same behind a symlink."""
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


def fifo_instead(path: Path) -> None:
    """A FIFO that nobody writes to: opening it would wait for ever."""
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    os.mkfifo(path)


POISON: dict[str, Callable[[Path], object]] = {
    "the set's folder is the group's": lambda folder: folder.chmod(0o775),
    "the set's folder is everybody's": lambda folder: folder.chmod(0o757),
    "the folder of sets is everybody's": lambda folder: folder.parent.chmod(0o777),
    "the tool's folder is the group's": lambda folder: folder.parent.parent.chmod(0o770),
    "a section is the group's": lambda folder: (folder / "models.json").chmod(0o664),
    "the index is everybody's": lambda folder: (folder / "index.json").chmod(0o646),
    "the set's folder is a link": linked,
    "the folder of sets is a link": lambda folder: linked(folder.parent),
    "the tool's folder is a link": lambda folder: linked(folder.parent.parent),
    "a section is a link": lambda folder: linked(folder / "models.json"),
    "the index is a link": lambda folder: linked(folder / "index.json"),
    "a section is a FIFO": lambda folder: fifo_instead(folder / "models.json"),
    "the index is a FIFO": lambda folder: fifo_instead(folder / "index.json"),
    "the set is a FIFO": lambda folder: fifo_instead(folder),
}
POISON_AS_ROOT: dict[str, Callable[[Path], object]] = {
    "the set's folder is another's": lambda folder: os.chown(folder, 65534, 65534),
    "the folder of sets is another's": lambda folder: os.chown(folder.parent, 65534, 65534),
    "the tool's folder is another's": lambda folder: os.chown(folder.parent.parent, 65534, 65534),
    "a section is another's": lambda folder: os.chown(folder / "models.json", 65534, 65534),
    "the index is another's": lambda folder: os.chown(folder / "index.json", 65534, 65534),
}
if os.geteuid() == 0:
    POISON |= POISON_AS_ROOT


@pytest.mark.parametrize("what", POISON)
def test_a_cache_that_others_can_write_is_as_if_not_there(what: str, cache: Path) -> None:
    whole = everything(load())
    (folder,) = cache.iterdir()
    poisoned(folder)
    assert "a poisoned entry" in load().section("models")  # of a user's own files nothing more is asked
    POISON[what](folder)
    program = "from generator.rulebook.book import load; print(*load().section('models'), sep='\\n')"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == list(whole["models"])  # type: ignore[call-overload]


@pytest.mark.parametrize("what", ["the folder of sets is everybody's", "the tool's folder is the group's", "the folder of sets is a link"])
def test_nothing_is_written_into_a_cache_that_others_can_write(what: str, cache: Path) -> None:
    load()
    (folder,) = cache.iterdir()
    POISON[what](folder)
    before = sorted(p.name for p in cache.iterdir())
    shutil.rmtree(folder)
    assert load().name == "default"
    assert sorted(p.name for p in cache.iterdir()) == [name for name in before if name != folder.name]


def test_a_cache_is_used_again_whatever_the_umask(cache: Path) -> None:
    before = os.umask(0)
    try:
        load()
    finally:
        os.umask(before)
    assert load()._compiled is not None


def test_a_section_nested_too_deep_is_damage(cache: Path) -> None:
    whole = load().section("models")
    (folder,) = cache.iterdir()
    raw = b"[" * 200_000
    index = json.loads((folder / "index.json").read_bytes())
    index["sections"]["models"] = hashlib.sha256(raw).hexdigest()
    (folder / "models.json").write_bytes(raw)
    (folder / "index.json").write_text(json.dumps(index))
    assert load().section("models") == whole
    (folder / "index.json").write_bytes(raw)
    assert load().section("models") == whole


def test_without_owners_there_is_no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "geteuid")
    assert resources.cache_folder() is None
    assert load().name == "default"


def test_nothing_executable_is_kept_in_the_cache(cache: Path, tmp_path: Path) -> None:
    (tmp_path / "chat.yaml").write_text("model: Qwen/Qwen2.5-7B-Instruct\nhardware: {gpu: A100-80GB}\n")
    command = [sys.executable, "-m", "generator", str(tmp_path / "chat.yaml"), "-o", str(tmp_path / "out")]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    kept = [path for path in cache.parent.rglob("*") if path.is_file()]
    assert {path.suffix for path in kept} == {".json"}


def test_a_cache_that_cannot_be_written_does_not_matter(cache: Path) -> None:
    cache.parent.parent.write_text("a file is in the way")
    assert load().name == "default"
    assert not cache.exists()


def test_a_user_without_a_home_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "relative/is/ignored")
    monkeypatch.setattr("os.path.expanduser", lambda path: path)
    assert resources.cache_folder() is None
    assert load().name == "default"


def test_two_processes_at_once_are_both_right(cache: Path) -> None:
    program = "from generator.rulebook.book import load; b = load(); print(b.digest, len(b.section('models')))"
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
    assert compiled_rules.opened(tmp_path / "set", fingerprint(layers(find("handbook")))) is not None
    assert compiled_rules.opened(tmp_path / "set", "another fingerprint") is None


def test_only_the_newest_sets_are_kept(tmp_path: Path) -> None:
    for number in range(compiled_rules.KEPT + 3):
        assert compiled_rules.write(tmp_path / f"set-{number}", "f", {"policy": {}})
        os.utime(tmp_path / f"set-{number}", (number, number))
    compiled_rules.prune(tmp_path)
    assert sorted(int(p.name.removeprefix("set-")) for p in tmp_path.iterdir()) == list(range(3, compiled_rules.KEPT + 3))


def test_a_failed_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "rename", full)
    assert not compiled_rules.write(tmp_path / "set", "f", {"policy": {}})
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_section_is_damage(tmp_path: Path) -> None:
    compiled_rules.write(tmp_path / "set", "f", {"policy": {}})
    found = compiled_rules.opened(tmp_path / "set", "f")
    assert found is not None
    with pytest.raises(Damaged):
        found.section("models")

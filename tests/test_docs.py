"""The documents: their commands run, their links resolve, their generated tables are up to date, their lists are whole."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from generator.cli import main

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = [ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "examples/README.md", *sorted((ROOT / "docs").glob("*.md"))]
SCRIPTS = ("doc_tables.py", "engine_pages.py", "handbook_table.py")


class Command(NamedTuple):
    """One `$ gen-deploy …` of a document, the exit code that a comment behind it states, and the output shown below it."""

    document: Path
    block: int
    words: str
    code: int
    shown: str


def name_of(path: Path) -> str:
    """A path as test ids show it."""
    return path.relative_to(ROOT).as_posix()


def blocks(document: Path) -> Iterator[str]:
    """The fenced `console` blocks of a document."""
    yield from re.findall(r"^```console\n(.*?)^```", document.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def commands(document: Path) -> Iterator[Command]:
    """Commands that start with gen-deploy. `# exit code 4` at the end of one states its exit code; 0 otherwise."""
    for number, block in enumerate(blocks(document)):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            line, _, shown = part.partition("\n")
            stated = re.search(r"#.*exit code (\d)", line)
            words = line.partition(" #")[0].strip()
            if words.startswith("gen-deploy"):
                yield Command(document, number, words, int(stated.group(1)) if stated else 0, shown.strip())


def described(document: Path) -> Iterator[tuple[str, str]]:
    """Files that a document lets the reader write: `title` and text of fenced blocks that begin with `# file: NAME`."""
    for text in re.findall(r"^```(?:yaml|sh)\n(.*?)^```", document.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL):
        first, _, rest = text.partition("\n")
        if first.startswith("# file: "):
            yield first.removeprefix("# file: ").strip(), rest


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with a copy of the examples to run commands in."""
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    return tmp_path


def words_of(command: Command) -> list[str]:
    """The words after gen-deploy, as a shell expands them in the current folder."""
    words = shlex.split(command.words)[1:]
    return [word for given in words for word in (sorted(map(str, Path().glob(given))) or [given] if "*" in given else [given])]


@pytest.mark.parametrize("document", [d for d in DOCUMENTS if any(commands(d))], ids=name_of)
def test_commands_run(document: Path, place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for name, text in described(document):
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(text, encoding="utf-8")
    monkeypatch.chdir(place)
    monkeypatch.setenv("NO_COLOR", "1")
    for command in commands(document):
        code = main(words_of(command))
        out, err = capsys.readouterr()
        assert code == command.code, f"{command.words}: {err}"
        assert command.shown in out + err, command.words


@pytest.mark.parametrize("script", SCRIPTS)
def test_generated_tables_are_up_to_date(script: str) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    words = [sys.executable, f"scripts/{script}", "--check"]
    run = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_links_to_files_resolve(document: Path) -> None:
    text = re.sub(r"^```.*?^```", "", document.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    targets = [t for t in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in t]
    broken = [t for t in targets if not (document.parent / t.partition("#")[0]).exists()]
    assert not broken


def keys(schema: dict[str, Any]) -> Iterator[str]:
    """Every key that a spec may have."""
    for name, entry in (schema.get("properties") or {}).items():
        yield name
        yield from keys(entry)
    if "then" in schema:
        yield from keys(schema["then"])


def test_spec_names_every_key() -> None:
    schema = json.loads((ROOT / "rules/schemas/spec.json").read_text(encoding="utf-8"))
    text = (ROOT / "docs/spec.md").read_text(encoding="utf-8")
    missing = [name for name in keys(schema) if f"`{name}`" not in text and f"## {name}\n" not in text]
    assert not missing


def test_names_no_place_of_the_machine() -> None:
    for document in DOCUMENTS:
        assert str(ROOT) not in document.read_text(encoding="utf-8"), name_of(document)

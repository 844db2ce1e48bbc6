"""The documents: commands run, links and anchors resolve, what is generated is up to date, lists are whole, and they stay short."""

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
from generator.rulebook.book import load

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = [
    *(ROOT / name for name in ("README.md", "README.zh-CN.md", "CHANGELOG.md", "CONTRIBUTING.md", "RELEASING.md", "SECURITY.md", "examples/README.md")),
    *sorted(path for path in (ROOT / "docs").rglob("*.md") if "_build" not in path.parts),
    *sorted((ROOT / ".github").rglob("*.md")),
]
SCRIPTS = ("doc_tables.py", "engine_pages.py", "handbook_table.py", "reference.py", "translated.py")
MOST_WORDS = 14_000
"""Of all pages that people write, blocks of code apart; they were 26,000, and nobody read them to the end."""
MADE = ("docs/reference/", "docs/engines/", "docs/accuracy.md", "docs/engine-proof.md", "docs/quantize-proof.md", "docs/quality.md", "docs/harvest-report.md")
"""Pages that scripts write whole."""

sys.path.insert(0, str(ROOT / "scripts"))
import how_to  # noqa: E402
import reference  # noqa: E402


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


def runs_here(document: Path) -> bool:
    """Whether a document has commands, and is no how-to, which is followed in a clone."""
    return any(commands(document)) and document not in how_to.pages() and not how_to.NEEDS.search(document.read_text(encoding="utf-8"))


@pytest.mark.parametrize("document", [d for d in DOCUMENTS if runs_here(d)], ids=name_of)
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


@pytest.fixture(scope="module")
def fresh_clone(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A clone, and a folder for PATH with its gen-deploy."""
    folder = tmp_path_factory.mktemp("fresh") / "gen-deploy"
    how_to.clone(folder)
    return folder, how_to.programs_of(folder)


@pytest.mark.skipif(os.name == "nt", reason="the how-tos are for bash")
@pytest.mark.parametrize("page", how_to.pages(), ids=name_of)
def test_how_tos_work_word_for_word_in_a_fresh_clone(page: Path, fresh_clone: tuple[Path, Path]) -> None:
    text, ran = how_to.follow(page, *fresh_clone)
    assert ran
    assert not [one.problem for one in ran if one.problem]
    assert text == page.read_text(encoding="utf-8"), "run scripts/how_to.py"


@pytest.mark.skipif(os.name == "nt", reason="the how-tos are for bash")
def test_a_how_to_that_fails_is_noticed(tmp_path: Path, fresh_clone: tuple[Path, Path]) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "```console\n$ gen-deploy plan nothing.yaml\n$ gen-deploy --version  # exit code 3\n```\n\n"
        "<!-- generated: run -->\n\n```console\n$ echo new\nold\n```\n\n<!-- end -->\n",
        encoding="utf-8",
    )
    text, ran = how_to.follow(page, *fresh_clone)
    assert [bool(one.problem) for one in ran] == [True, True, False]
    assert "$ echo new\nnew\n" in text and "old" not in text


def snippet(document: Path, first: str) -> str:
    """The fenced YAML of a document that begins with some text."""
    blocks_of: list[str] = re.findall(r"^```yaml\n(.*?)^```", document.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    found = [text for text in blocks_of if text.startswith(first)]
    assert len(found) == 1, first
    return found[0]


def test_a_gpu_and_a_model_are_added_as_the_guide_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(ROOT / "rules", tmp_path / "rules")
    guide = ROOT / "docs/rules-how-to.md"
    for name, first in (
        ("facts/gpus/nvidia-workstation.yaml", "  Board-40GB:"),
        ("sources/gpus.yaml", "  my-data-sheet:"),
        ("facts/models/qwen2.yaml", "  my-org/support-7b:"),
    ):
        with (tmp_path / "rules" / name).open("a", encoding="utf-8") as file:
            file.write(snippet(guide, first))
    (tmp_path / "spec.yaml").write_text("model: my-org/support-7b\nhardware: {gpu: Board-40GB}\n", encoding="utf-8")
    code = main(["plan", str(tmp_path / "spec.yaml"), "--rules", str(tmp_path / "rules/default"), "--json"])
    out, err = capsys.readouterr()
    assert code == 0, err
    assert "memory-assumed" in out and json.loads(out)["choice"]["engine"]


def without_code(document: Path) -> str:
    """The text of a document without its blocks of code."""
    return re.sub(r"^ *```.*?^ *```", "", document.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def anchors(document: Path) -> set[str]:
    """The anchors of a document's headings, as forges and MyST make them."""
    headings = re.findall(r"^#{1,6} +(.+?) *$", without_code(document), re.MULTILINE)
    plain = (re.sub(r"\[([^]]*)\]\([^)]*\)|[`*]", r"\1", heading) for heading in headings)
    return {re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-") for text in plain}


def broken_links(document: Path) -> list[str]:
    """Relative links whose file or whose anchor is not there."""
    broken = []
    for target in re.findall(r"\]\(<?([^)\s>]+)>?\)", without_code(document)):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        path = document.parent / name if name else document
        if not path.exists() or (anchor and path.suffix == ".md" and anchor not in anchors(path)):
            broken.append(target)
    return broken


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_links_and_anchors_resolve(document: Path) -> None:
    assert not broken_links(document)


def test_a_broken_link_is_noticed(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# One thing, and `two`\n\n[a](#one-thing-and-two) [b](page.md#three) [c](other.md) [d](https://example.com/x#y)\n", encoding="utf-8")
    assert broken_links(page) == ["page.md#three", "other.md"]


def test_every_page_is_in_the_index() -> None:
    index = ROOT / "docs/index.md"
    named = {(index.parent / target).resolve() for target in re.findall(r"^- \[.+\]\((\S+)\)$", index.read_text(encoding="utf-8"), re.MULTILINE)}
    pages = {path for path in DOCUMENTS if path.is_relative_to(index.parent)} - {index}
    assert named == pages


def test_pages_stay_short() -> None:
    counts = {}
    for document in (d for d in DOCUMENTS if name_of(d) in ("README.md", "CONTRIBUTING.md") or name_of(d).startswith("docs/")):
        if not name_of(document).startswith((*MADE, "docs/zh/")):
            counts[name_of(document)] = len(re.sub(r"<!-- generated:.*?<!-- end -->", "", without_code(document), flags=re.DOTALL).split())
    assert sum(counts.values()) <= MOST_WORDS, sorted(counts.items(), key=lambda one: -one[1])[:5]
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 120


def test_every_code_is_explained_in_two_languages() -> None:
    explained = {code: words for group in reference.codes().values() for code, words in group.items()}
    assert not reference.said() - explained.keys(), "say in docs/codes.yaml what these mean"
    assert len(reference.said() & explained.keys()) > 200
    for code, (module, part) in reference.INDIRECT.items():
        assert part in (ROOT / module).read_text(encoding="utf-8"), code
    for code, (english, chinese) in explained.items():
        assert english and re.search(r"[\u4e00-\u9fff]", chinese), code


def test_every_warning_and_reason_is_explained_in_chinese() -> None:
    book = load()
    rows = {row for name in ("warn", "reject") for row in reference.rows_that_speak(book, name)}
    assert len(rows) > 100 and not rows - reference.rows_in_chinese().keys(), "say in docs/codes.yaml, under `rows`, what these mean"


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

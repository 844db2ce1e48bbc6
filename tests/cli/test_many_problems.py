"""Thousands of problems of one kind: the first ones are printed, and how many more there are."""

from __future__ import annotations

import contextlib
import io
import json
import sys
import time
from datetime import date
from pathlib import Path

import pytest

from generator.cli.lint import lint
from generator.cli.main import main
from generator.errors import MOST_IN_FILE, MOST_OF_KIND, Place, Problem, capped
from generator.rulebook.book import load
from generator.rulebook.lint.tables import MOST_STEPS

SPEC = "model: Qwen/Qwen2.5-7B-Instruct\nhardware: {gpu: A100-80GB}\n"


def run(*words: str) -> tuple[int, list[str], list[str]]:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main([*words])
    return code, out.getvalue().splitlines(), err.getvalue().splitlines()


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_keys_that_nobody_knows(here: Path) -> None:
    (here / "k.yaml").write_text(SPEC + "".join(f"key{i}: 1\n" for i in range(5000)))
    code, out, err = run("plan", "k.yaml")
    assert (code, out, len(err)) == (1, [], MOST_IN_FILE + 1)
    assert err[0].startswith("k.yaml:3:1: error[unknown-key]: 'key0' is not a known key")
    assert err[-1] == "k.yaml:1:1: error[unknown-key]: 4980 more of this kind in this file"


@pytest.mark.parametrize("words", [("-o", "out"), ("plan",), ("check", "-o", "out")])
def test_specs_of_one_name(here: Path, words: tuple[str, ...]) -> None:
    for i in range(300):
        (here / f"{i}.yaml").write_text(f"name: one\n{SPEC}")
    code, _, err = run(*words, *(f"{i}.yaml" for i in range(300)))
    twice = [line for line in err if "duplicate-name" in line]
    if words != ("plan",):
        assert code == 1
        assert len(twice) == MOST_OF_KIND + 1
        assert twice[-1] == "error[duplicate-name]: 199 more of this kind in other files"
    assert len(err) <= 4 * (MOST_OF_KIND + 1)


def test_specs_that_are_wrong_each_in_the_same_way(here: Path) -> None:
    """Problems that come one by one are counted together, and the rest is said at the end."""
    for i in range(150):
        (here / f"{i}.yaml").write_text(SPEC.replace("A100-80GB", "A100-80GBB"))
    code, _, err = run("plan", *(f"{i}.yaml" for i in range(150)))
    assert code == 1
    assert len(err) == MOST_OF_KIND + 1
    assert err[-1] == "error[unknown-gpu]: 50 more of this kind in other files"


@pytest.mark.parametrize("form", ["text", "json", "github"])
def test_findings_of_lint(here: Path, form: str) -> None:
    (here / "ruleset.yaml").write_text("ruleset: {name: ours, extends: default}\n")
    (here / "x.yaml").write_text("thresholds:\n" + "".join(f"  t{i}: {{meaning: x, unit: y, checked: 2026-12-01}}\n" for i in range(500)))
    code, out, _ = run("lint", "--rules", ".", "--no-cases", "--format", form)
    assert code == 1
    text = "\n".join(out)
    assert "980 more of this kind in this file" in text
    assert text.count("missing") <= 3 * (MOST_IN_FILE + 2)
    if form == "json":
        data = json.loads(text)
        assert len(data["findings"]) == MOST_IN_FILE + 1
        assert data["counts"]["error"] == 1000
    if form == "text":
        assert out[-1].startswith("1000 errors")


@pytest.mark.parametrize("words", [(), ("--json",)])
def test_findings_of_verify(here: Path, words: tuple[str, ...]) -> None:
    (here / "config.yaml").write_text("model: x\n" + "".join(f"no-such-key-{i}: 1\n" for i in range(500)))
    code, out, _ = run("verify", "config.yaml", "--engine", "vllm", *words)
    assert code == 1
    text = "\n".join(out)
    assert "480 more of this kind in this file" in text
    assert len(text) < 20_000


def test_kinds_and_files_are_counted_apart() -> None:
    many = [Problem(code, f"{i}", Place(path)) for code in ("a", "b") for path in ("x", "y") for i in range(MOST_IN_FILE + 5)]
    found = capped(many)
    assert len(found) == 4 * (MOST_IN_FILE + 1)
    assert capped(found[: MOST_IN_FILE]) == found[:MOST_IN_FILE]


ROWS = {
    "reject": "  - {{id: row-{i}, when: {{max_context: {{over: {i}, below: {j}}}}}, because: x, source: handbook}}\n",
    "settings": "  - {{id: row-{i}, when: {{max_context: {{over: {i}}}}}, set: {{max_num_seqs: {i}}}, because: x, source: handbook}}\n",
    "prefer": "  - {{id: row-{i}, when: {{max_context: {{over: {i}, below: {j}}}}}, rank: {{lower: gpus_used}}, because: x, source: handbook}}\n",
}


@pytest.mark.slow
@pytest.mark.parametrize("table", ROWS)
def test_lint_ends_on_a_long_table(here: Path, table: str) -> None:
    """Nine thousand rows that cannot all be compared with one another."""
    (here / "ruleset.yaml").write_text("ruleset: {name: ours, extends: default}\n")
    (here / "t.yaml").write_text(f"table: {table}\nrows:\n" + "".join(ROWS[table].format(i=i, j=i + 3) for i in range(9000)))
    start = time.process_time()
    found = lint(".", date.today(), no_cases=True)
    traced = 3 if sys.gettrace() is not None else 1  # coverage traces each line
    assert time.process_time() - start < 60 * traced
    assert any(p.code == "too-many-rows" and f"{MOST_STEPS:,}" in p.message for p in found)


def test_lint_ends_on_a_row_of_many_boxes(here: Path) -> None:
    """Lists over names with a set of words are a box for each of their combinations."""
    names = load("default").names
    words = {name: [*entry["values"]] * 12 for name, entry in names.items() if entry["type"] == "words" and "values" in entry}
    cells = ", ".join(f"{name}: [{', '.join(values)}]" for name, values in words.items())
    (here / "ruleset.yaml").write_text("ruleset: {name: ours, extends: default}\n")
    row = f"{{id: one, when: {{{cells}, engine.settings: [{', '.join(['port'] * 100)}]}}, because: x, source: handbook}}"
    (here / "t.yaml").write_text(f"table: reject\nrows:\n  - {row}\n")
    assert "too-many-rows" in {p.code for p in lint(".", date.today(), no_cases=True)}

"""Renamed words: each is understood for two releases, with one warning at its place that says the new word; and the table of them is right."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import Any

import pytest

from generator import __version__
from generator.cli.main import main
from generator.quantity import version_key
from generator.rulebook import renamed
from generator.rulebook.book import load
from generator.rulebook.renamed import KINDS, Deprecated, old_words

SPEC = "model: Qwen/Qwen2.5-7B-Instruct\nhardware: {gpu: L4-24GB}\n"
RULESET = "ruleset: {name: ours, title: Ours}\nextends: default\n"
MINE = {"since": "0.1.0", "gone_in": "99.0"}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    put({"ours/ruleset.yaml": RULESET, "spec.yaml": SPEC})


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, Any]]:
    """A table of one's own, to fill in."""
    words: dict[str, dict[str, Any]] = {kind: {} for kind in KINDS}
    monkeypatch.setattr(renamed, "old_words", lambda: words)
    return words


def put(files: dict[str, str]) -> None:
    for name, text in files.items():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(text, encoding="utf-8")


def run(*words: str) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(list(words))
    return code, out.getvalue(), err.getvalue()


def plan() -> tuple[str, str]:
    code, out, err = run("plan", "spec.yaml", "--rules", "ours")
    assert code == 0, err
    return out, err


def test_the_table() -> None:
    """Each old word is gone, each new one is there, and the word goes two releases after it was renamed, not yet now."""
    book = load()
    rows = {row.id for one in (book, load("handbook")) for table in one.tables.values() for row in table.rows}
    known = {"rows": rows, "thresholds": set(book.thresholds), "methods": set(book.section("methods"))}
    every = [(kind, old, entry) for kind in KINDS for old, entry in old_words()[kind].items()]
    assert every
    for kind, old, entry in every:
        since, gone = version_key(entry["since"]), version_key(entry["gone_in"])
        assert gone[:2] >= (since[0], since[1] + 2) or gone[0] > since[0], f"{old}: understood for two releases"
        assert version_key(__version__) < gone, f"{old}: take it out of rules/renamed.yaml"
        new = entry.get("to", entry.get("see"))
        assert ("to" in entry) is not ("see" in entry)
        if kind in known:
            assert old not in known[kind]
            assert new in known[kind] or (new == "-" and "see" in entry)


OVERLAYS = {
    "off in a table": ({"ours/p.yaml": "table: settings\noff: [metrics-of-sglang]\n"}, "ours/p.yaml:2:7", "row 'metrics-of-sglang' is now 'metrics'"),
    "off in the rule set": ({"ours/ruleset.yaml": f"{RULESET}off: {{settings: [tools-of-vllm]}}\n"}, "ours/ruleset.yaml:3:18", "is now 'tools-allowed'"),
    "off, of which another row took over": ({"ours/p.yaml": "table: settings\noff: [tools-of-sglang]\n"}, "ours/p.yaml:2:7", "'tools' says what it said"),
    "off, of which nothing is left": ({"ours/p.yaml": "table: reject\noff: [no-replicas-of-experts]\n"}, "ours/p.yaml:2:7", "any more: leave it out"),
    "a row replaced": (
        {"ours/p.yaml": "table: settings\nrows:\n  - id: metrics-of-sglang\n    when: {engine: sglang}\n    set: {enable_metrics: true}\n"
                        "    because: ours\n    source: judgement-headroom\n"},
        "ours/p.yaml:3:5", "is now 'metrics'",
    ),
    "a threshold": (
        {"ours/t.yaml": "thresholds:\n  speed.compare.layout: {meaning: x, unit: fraction, value: 0.5, source: judgement-headroom, checked: 2026-11-24}\n"},
        "ours/t.yaml:2:3", "threshold 'speed.compare.layout' is now 'speed.compare.layouts'",
    ),
    "a threshold that a row reads": (
        {"ours/p.yaml": "table: reject\nrows:\n  - id: x\n    when: {gpus: {over: speed.compare.layout}, nodes: {over: 1}}\n    because: x\n"
                        "    source: judgement-headroom\n"},
        "ours/p.yaml:3:5", "is now 'speed.compare.layouts'",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", OVERLAYS)
def test_rule_sets(name: str) -> None:
    """Understood as the new word, with one line at its place."""
    files, at, says = OVERLAYS[name]
    put(files)
    _, err = plan()
    (line,) = err.splitlines()
    assert line.startswith(f"{at}: warning[deprecated]: ")
    assert says in line
    assert "the old word is an error from 0.3.0 on" in line


def test_an_old_name_means_the_row() -> None:
    put({"ours/p.yaml": "table: settings\noff: [tools-of-vllm]\n", "spec.yaml": f"{SPEC}workload: {{profile: agent}}\npin: {{engine: vllm}}\n"})
    with pytest.warns(Deprecated, match="tools-allowed"):
        book = load("ours")
    assert "tools-allowed" not in {row.id for row in book.tables["settings"].rows}


def test_a_word_of_ones_own_stays() -> None:
    """A rule set may have a row of that name where none is called by the new one."""
    row = "  - id: quality-first\n    when: {nodes: {over: 99}}\n    because: x\n    source: judgement-headroom\n"
    put({"ours/p.yaml": f"table: reject\nrows:\n{row}"})
    assert plan()[1] == ""


def test_cases() -> None:
    case = "- id: a\n  given: {model: Qwen/Qwen2.5-7B-Instruct, hardware: {gpu: L4-24GB}, workload: {profile: agent}}\n"
    put({"ours/cases/a.yaml": f"{case}  expect: {{trace: {{settings: [tools-of-vllm]}}, no_warnings: [idle-gpus]}}\n"})
    code, out, err = run("test", "--rules", "ours")
    assert (code, out) == (0, "1 case, 0 failed\n")
    assert err.startswith("ours/cases/a.yaml:3:19: warning[deprecated]: row 'tools-of-vllm' is now 'tools-allowed'")


def test_keys_of_a_spec(table: dict[str, dict[str, Any]]) -> None:
    """An old key is read as the new one, problems of its value are at its place, and both together are an error."""
    table["keys"]["workload/users"] = {"to": "concurrency", **MINE}
    put({"spec.yaml": f"{SPEC}workload: {{users: 7}}\n"})
    code, out, err = run("plan", "spec.yaml", "--json")
    assert code == 0
    assert '"concurrency": 7' in out
    assert err == "spec.yaml:3:12: warning[deprecated]: key 'users' is now 'concurrency': write that; the old word is an error from 99.0 on\n"
    put({"spec.yaml": f"{SPEC}workload: {{users: many}}\n"})
    code, _, err = run("plan", "spec.yaml")
    assert code == 1
    assert "spec.yaml:3:19: error" in err
    put({"spec.yaml": f"{SPEC}workload: {{users: 7, concurrency: 8}}\n"})
    code, _, err = run("plan", "spec.yaml")
    assert code == 1
    assert "error[unknown-key]" in err


def test_methods(table: dict[str, dict[str, Any]]) -> None:
    table["methods"]["w8a8-fp"] = {"to": "fp8", **MINE}
    put({"spec.yaml": f"{SPEC}pin: {{engine: vllm, quantization: w8a8-fp}}\n"})
    code, out, err = run("plan", "spec.yaml")
    assert code == 0
    assert " · fp8 · " in out
    assert err.splitlines()[0].startswith("spec.yaml:3:35: warning[deprecated]: method 'w8a8-fp' is now 'fp8'")
    put({"spec.yaml": "model: {id: Qwen/Qwen2.5-7B-Instruct, checkpoints: {w8a8-fp: us/own}}\nhardware: {gpu: L4-24GB}\npin: {quantization: fp8}\n"})
    code, out, err = run("plan", "spec.yaml", "--json")
    assert code == 0
    assert '"checkpoint": "us/own"' in out
    assert "spec.yaml:1:53: warning[deprecated]" in err


def test_options(table: dict[str, dict[str, Any]]) -> None:
    table["options"]["--rule-set"] = {"to": "--rules", **MINE}
    for words in (["--rule-set", "handbook"], ["--rule-set=handbook"]):
        code, out, err = run("plan", "spec.yaml", *words)
        assert (code, out) == run("plan", "spec.yaml", "--rules", "handbook")[:2]
        assert err == "warning[deprecated]: option '--rule-set' is now '--rules': write that; the old word is an error from 99.0 on\n"
    assert run("plan", "spec.yaml", "--no-such-option")[0] == 2


def test_after_two_releases(monkeypatch: pytest.MonkeyPatch) -> None:
    """The old word is unknown, and the nearest known one is named."""
    monkeypatch.setattr(renamed, "__version__", "0.3.0")
    old_words.cache_clear()
    put({"ours/p.yaml": "table: settings\noff: [tools-of-vllm]\n"})
    try:
        code, _, err = run("plan", "spec.yaml", "--rules", "ours")
    finally:
        old_words.cache_clear()
    assert code == 1
    assert "error[unknown-row]: cannot switch off the unknown row 'tools-of-vllm'" in err


def test_warnings_as_errors_give_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    put({"ours/p.yaml": "table: settings\noff: [tools-of-vllm]\n"})
    monkeypatch.setenv("PYTHONWARNINGS", "error")
    import subprocess
    import sys

    done = subprocess.run([sys.executable, "-m", "generator", "plan", "spec.yaml", "--rules", "ours"], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert done.stderr.count("warning[deprecated]") == 1
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("kind", ["rows", "thresholds"])
def test_each_old_id_is_shown_as_what_it_is_now(kind: str) -> None:
    for old, entry in old_words()[kind].items():
        new = entry.get("to") or entry.get("see")
        code, out, err = run("rules", "show", old, "--json")
        if new == "-":
            assert (code, out) == (1, ""), old
            continue
        assert code == 0, err
        assert f'"id": "{new}"' in out
        assert "warning[deprecated]" in err and repr(old) in err and repr(new) in err

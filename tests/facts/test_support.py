"""What runs where: spans of generations, versions of engines, shapes of models."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "decide"))
from plans import book

from generator.facts.engine import resolve_engine, support_of
from generator.rulebook.book import RuleBook, load
from generator.rulebook.table import cell_of, word_of

ROOT = Path(__file__).resolve().parents[2]
LETTERS = {"y": "yes", "d": "degraded", "p": "plugin", "u": "unknown", "n": "no"}
LINES = (ROOT / "tests/data/support/cells.txt").read_text(encoding="utf-8").splitlines()
GENERATIONS = LINES[1].removeprefix("# ").split()
CELLS = [(kind, engine, name, [LETTERS[one] for one in word]) for kind, engine, name, word in (line.split() for line in LINES[3:])]


def row(kind: str, engine: str, name: str) -> Any:
    section = book().section("support")[engine]["support"] if kind == "method" else book().section("kv_cache")[engine]
    return section[name]


def said(kind: str, engine: str, name: str, generation: str, known: Any = None) -> str | None:
    """What holds for models of any shape at the engine's default version."""
    version = resolve_engine(engine, None, book()).version
    cell = cell_of(row(kind, engine, name), generation, known or book().section("architectures"), version, ())
    return cell[0] if cell else None


def test_spans_say_what_the_cells_said() -> None:
    wrong = [
        (engine, name, generation, word, said(kind, engine, name, generation))
        for kind, engine, name, words in CELLS
        for generation, word in zip(GENERATIONS, words, strict=True)
        if said(kind, engine, name, generation) != word
    ]
    assert (len(CELLS) * len(GENERATIONS), wrong) == (2340, [])


@given(st.floats(min_value=5, max_value=20, allow_nan=False), st.sampled_from(CELLS))
def test_a_new_generation_falls_into_a_span(capability: float, line: tuple[str, str, str, list[str]]) -> None:
    """It is judged as the next older one, if the row names no generation of its maker."""
    kind, engine, name, words = line
    known = book().section("architectures")
    older = [(known[one]["compute_capabilities"][0], word) for one, word in zip(GENERATIONS, words, strict=True) if known[one]["vendor"] == "nvidia"]
    expected = max((one for one in older if one[0] <= capability), default=older[0])[1]
    new = {**known, "new": {"vendor": "nvidia", "compute_capabilities": [capability]}}
    assert said(kind, engine, name, "new", new) == expected


def test_a_generation_is_like_another() -> None:
    known: Any = {"a": {"vendor": "amd", "like": "b"}, "b": {"vendor": "amd", "like": "c"}, "c": {"vendor": "amd", "like": "a"}}
    assert word_of({"c": "yes", "amd": "no"}, "a", known) == "yes"
    assert word_of({"amd": "no", "all": "yes"}, "a", known) == "no"
    assert word_of({"all": "yes"}, "a", known) == "yes"
    assert word_of({"nvidia": {"from 7.5": "yes"}}, "a", known) is None
    of_kin: Any = {"old": {"vendor": "nvidia", "compute_capabilities": [9.0]}, "new": {"like": "old"}}
    assert word_of({"nvidia": {"from 7.5": "degraded", "from 9.0": "yes", "from 10.0": "no"}}, "new", of_kin) == "yes"


DENSE, EXPERTS = frozenset({"dense"}), frozenset({"moe"})


@pytest.mark.parametrize(
    ("engine", "version", "method", "architecture", "shapes", "cell"),
    [
        ("sglang", None, "fp8-block", "ampere_80", EXPERTS, ("no", "sgl-fp8-experts")),
        ("sglang", "0.5.8", "fp8", "ampere_86", EXPERTS | {"hybrid"}, ("no", "sgl-fp8-experts")),
        ("sglang", None, "fp8-block", "ampere_80", DENSE, ("degraded", "sgl-mincap")),
        ("sglang", None, "fp8-block", "hopper_90", EXPERTS, ("yes", "sgl-mincap")),
        ("sglang", None, "mxfp4", "hopper_90", DENSE, ("no", "sgl-experts-only")),
        ("sglang", None, "mxfp4", "hopper_90", EXPERTS, ("yes", "sgl-mincap")),
        ("vllm", "0.14.1", "fp16", "volta_70", DENSE, ("degraded", "vllm-cc75")),
        ("vllm", "0.15.1", "fp16", "volta_70", DENSE, ("unknown", "vllm-cc75")),
        ("vllm", "0.21.0", "fp16", "volta_70", DENSE, ("no", "vllm-cuda")),
        ("vllm", "0.10.0", "gptq", "volta_70", EXPERTS, ("no", "vllm-quant-doc")),
        ("vllm", "0.18.1", "sparse-2-4", "hopper_90", DENSE, ("yes", "vllm-sparse24-bitmask")),
        ("vllm", "0.19.1", "sparse-2-4", "hopper_90", DENSE, ("no", "sparse24")),
        ("vllm", None, "no-such-row", "hopper_90", DENSE, ("unknown", None)),
    ],
)
def test_versions_and_shapes(engine: str, version: str | None, method: str, architecture: str, shapes: frozenset[str], cell: tuple[str, str | None]) -> None:
    rules = book()
    assert support_of(rules, resolve_engine(engine, version, rules), method, architecture, shapes) == cell


OVERLAY = {
    "ruleset.yaml": "ruleset: {name: ours, extends: default}\nsources:\n  ours: {title: x, where: y, read: 2026-12-01}\n",
    "support.yaml": "engine: vllm\nsupport:\n  fp8: {nvidia: {from 13.0: degraded}, amd_cdna3: 'no', source: ours}\n",
}


def test_a_set_says_only_what_differs(tmp_path: Path) -> None:
    for name, text in OVERLAY.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    ours: RuleBook = load(str(tmp_path))
    engine = resolve_engine("vllm", None, ours)
    assert support_of(ours, engine, "fp8", "amd_cdna3") == ("no", "ours")
    assert support_of(ours, engine, "fp8", "amd_cdna4") == ("yes", "vllm-fp8")
    assert support_of(ours, engine, "fp8", "blackwell_120") == ("yes", "vllm-fp8")

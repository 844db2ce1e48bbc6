"""The vocabulary: typed as it is declared, and each stage's functions make exactly the names that are declared for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest

from generator.decide import vocabulary
from generator.decide.consider import pairs
from generator.decide.context import Context, resolve
from generator.decide.decision import decide
from generator.decide.names import pair_names, spec_names
from generator.decide.performance import NO_NAMES
from generator.decide.sized import NO_JOB, layout_names, target_names, units_of
from generator.readers.document import parse_yaml
from generator.rulebook.book import RuleBook, load
from generator.rulebook.rulesets import gather
from generator.rulebook.table import STAGES
from generator.sizing.footprint import Layout
from generator.spec.deployment import DeploymentSpec, from_document

ROOT = Path(__file__).resolve().parents[2]
SPEC = """
model: Qwen/Qwen2.5-32B-Instruct
hardware: {gpu: H100-80GB, gpus_per_node: 2, host_memory_gib: 512}
workload: {profile: chat, ttft_ms: 2000}
quantize: {}
"""


def spec_of() -> DeploymentSpec:
    spec, problems = from_document(parse_yaml(SPEC, "x.yaml"), ROOT / "x.yaml")
    assert spec is not None, problems
    return spec


@pytest.fixture(scope="module")
def book() -> RuleBook:
    return load("default")


@pytest.fixture(scope="module")
def context(book: RuleBook) -> Context:
    return resolve(spec_of(), book)


def names_of(declaration: type) -> set[str]:
    return set(get_type_hints(declaration))


TYPES: dict[Any, str] = {str: "word", frozenset[str]: "words", tuple[str, ...]: "words", bool: "flag", int: "number", float: "number"}


def test_names_have_the_types_that_are_declared(book: RuleBook) -> None:
    for stage, declaration in zip(STAGES, vocabulary.STAGE_NAMES, strict=True):
        plain = {name: kind if kind in TYPES else get_args(kind)[0] for name, kind in get_type_hints(declaration).items()}  # without `| None`
        assert {name: TYPES[kind] for name, kind in plain.items()} == {n: e["type"] for n, e in book.names.items() if e["stage"] == stage}


def test_each_stage_makes_exactly_its_names(context: Context) -> None:
    assert set(spec_names(context)[0]) == names_of(vocabulary.SpecNames)
    for pair in list(pairs(context, making=True))[::7]:
        names = pair_names(context, pair.engine, pair.method, pair.checkpoint, pair.origin)[0]
        assert set(names) == names_of(vocabulary.PairNames)
        assert set(target_names(context, pair, {**names})) == names_of(vocabulary.TargetNames)
        units = units_of(context, pair.engine, pair.method, pair.checkpoint)
        assert set(layout_names(context, pair.engine, Layout(2), units)) == names_of(vocabulary.LayoutNames)
    assert set(NO_NAMES) == names_of(vocabulary.SpeedNames)
    assert set(NO_JOB) == names_of(vocabulary.JobNames)


@pytest.mark.parametrize("rules", ["default", "handbook"])
def test_a_sized_candidate_has_every_name_and_no_other(rules: str) -> None:
    found = decide(spec_of(), load(rules)).ranked
    assert found
    for one in found:
        assert set(one.facts) == names_of(vocabulary.Names)


def test_values_have_the_declared_words(book: RuleBook) -> None:
    """What a decision gives a name is among the values that rows may ask for."""
    for one in decide(spec_of(), book).ranked:
        for name, value in one.facts.items():
            allowed = book.names[name].get("values")
            words = set(value) if isinstance(value, (frozenset, tuple)) else {value} - {None}
            assert allowed is None or words <= set(allowed), (name, value)


WRONG_WORDS = {"model.family": ("qwen-nine", "qwen"), "kv_cache.dtype": ("fp9", "'fp8'"), "tool_call_parser": ("hermess", "'hermes'")}


@pytest.mark.parametrize("name", WRONG_WORDS)
def test_a_word_that_no_entry_has_is_an_error(name: str, tmp_path: Path) -> None:
    word, meant = WRONG_WORDS[name]
    (tmp_path / "ruleset.yaml").write_text("ruleset: {name: ours, extends: default}\n", encoding="utf-8")
    row = f"table: reject\nrows:\n  - {{id: no, when: {{{name}: {word}}}, because: x}}\n"
    (tmp_path / "reject.yaml").write_text(row, encoding="utf-8")
    (problem,) = gather(tmp_path).problems
    assert (problem.code, problem.place and problem.place.line) == ("unknown-value", 3)
    assert f"{word!r} is not a value of {name}; did you mean" in problem.message
    assert meant in problem.message


def test_the_words_of_an_own_entry_and_of_one_that_is_off_are_known(tmp_path: Path) -> None:
    (tmp_path / "ruleset.yaml").write_text("ruleset: {name: ours, extends: default}\noff: {models: [microsoft/phi-4]}\n", encoding="utf-8")
    own = "models:\n  acme/m: {family: acme, parameters_billion: 7, source: handbook}\n"
    (tmp_path / "models.yaml").write_text(own, encoding="utf-8")
    family = load("default").section("models")["microsoft/phi-4"]["family"]
    row = f"table: reject\nrows:\n  - {{id: no, when: {{model.family: [acme, {family}]}}, because: x}}\n"
    (tmp_path / "reject.yaml").write_text(row, encoding="utf-8")
    assert gather(tmp_path).problems == []

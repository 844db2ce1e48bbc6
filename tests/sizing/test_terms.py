"""The terms of a plan's memory: each formula, evaluated from the inputs that are printed beside it, gives the printed figure."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from frozen import frozen
from starts import book, planned

from generator.decide.decision import decide
from generator.quantity import gib
from generator.readers.document import Document
from generator.render.plan_json import as_json
from generator.spec.deployment import from_document, read_spec

ROOT = Path(__file__).resolve().parents[2]
MODELS = ("meta-llama/Llama-3.1-8B-Instruct", "Qwen/Qwen3-30B-A3B")
ENGINES = ("vllm", "sglang", "tensorrt-llm", "tgi", "llama.cpp", "ollama")
TERMS = ("weights", "kv_cache", "activations", "cuda_graphs", "runtime")
BRACKETS = {"⌈": "ceil(", "⌉": ")", "⌊": "floor(", "⌋": ")", "·": "*"}


def evaluated(term: dict[str, Any]) -> float:
    """A formula's value, as a reader would work it out: with the printed inputs and the figures of the parts, and nothing else."""
    names = {name: one["value"] for name, one in term["inputs"].items()} | {one["term"]: one["bytes"] for one in term["parts"]}
    text = re.sub("[⌈⌉⌊⌋·]", lambda found: BRACKETS[found.group()], term["formula"])
    words = set(re.findall(r"[A-Za-z_]\w*", text)) - {"max", "min", "ceil", "floor", "GiB", "MiB"}
    assert words == names.keys(), f"{term['term']}: {term['formula']} is printed with {sorted(names)}"
    functions = {"max": max, "min": min, "ceil": math.ceil, "floor": math.floor, "GiB": 2**30, "MiB": 2**20}
    return float(eval(text, {"__builtins__": {}, **functions, **names}))


def all_of(terms: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for term in terms:
        yield term
        yield from all_of(term["parts"])


def check(data: dict[str, Any]) -> int:
    """Every term of a plan, its parts among them; and the terms are the plan's memory."""
    terms = data["memory_terms"]
    for term in all_of(terms):
        # whole bytes are printed, and a part is a figure of the sum: a few bytes each
        assert evaluated(term) == pytest.approx(term["bytes"], abs=16), (data["choice"], term)
    for term in terms:
        assert term["gib"] == pytest.approx(data["memory"][term["term"]], abs=0.0006), (data["choice"], term)
    assert sum(term["gib"] for term in terms) == pytest.approx(data["memory"]["total"], abs=0.003)
    return sum(1 for _ in all_of(terms))


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.yaml")), ids=lambda path: path.stem)
def test_the_examples(path: Path) -> None:
    data = as_json(decide(read_spec(path), book()).plan)
    assert not data["memory_terms"] or check(data) >= 3


def test_the_frozen_specs() -> None:
    """Of 500 specs those that have a plan, over all engines."""
    checked = 0
    for one in frozen():
        if one["choice"] is not None:
            spec, _ = from_document(Document("spec.yaml", {**one["spec"], "name": "frozen"}, {}, {}), Path("spec.yaml"))
            assert spec is not None
            checked += check(as_json(decide(spec, book()).plan))
    assert checked > 2500


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("engine", ENGINES)
def test_terms_are_the_plans_figures_with_sources(engine: str, model: str, tmp_path: Path) -> None:
    plan = planned(
        {"model": model, "hardware": {"gpu": "H100-80GB"}, "pin": {"engine": engine}, "deploy": {"trust_remote_code": True}}, tmp_path
    )
    choice = plan.choice
    assert choice is not None
    assert choice.memory is not None
    terms = {term.name: term for term in choice.terms}
    assert {"weights", "kv_cache", "activations", "runtime"} <= terms.keys()
    for name, term in terms.items():
        assert term.bytes == pytest.approx(getattr(choice.memory, name), abs=16)
        assert term.source in book().section("sources"), name
    assert len(terms["weights"].inputs) > 1
    assert sum(gib(term.bytes) for term in terms.values()) == pytest.approx(gib(choice.memory.total))
    assert check(as_json(plan)) >= 6


def test_no_terms_where_nothing_fits(tmp_path: Path) -> None:
    plan = planned({"model": "meta-llama/Llama-3.3-70B-Instruct", "hardware": {"gpu": "T4-16GB"}, "pin": {"engine": "vllm"}}, tmp_path)
    assert plan.choice is None
    assert as_json(plan)["memory_terms"] == []

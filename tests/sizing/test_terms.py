"""The terms of a plan's memory: the plan's own figures, each with a formula and a source that exists."""

from __future__ import annotations

from pathlib import Path

import pytest
from starts import book, planned

from generator.plan import as_json
from generator.quantity import gib

MODELS = ("meta-llama/Llama-3.1-8B-Instruct", "Qwen/Qwen3-30B-A3B")
ENGINES = ("vllm", "sglang", "tensorrt-llm", "tgi", "llama.cpp", "ollama")


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
        assert term.gib == pytest.approx(gib(getattr(choice.memory, name)))
        assert term.formula
        assert term.source in book().section("sources"), name
    assert sum(term.gib for term in terms.values()) == pytest.approx(gib(choice.memory.total))
    assert [term["term"] for term in as_json(plan)["memory_terms"]] == list(terms)


def test_no_terms_where_nothing_fits(tmp_path: Path) -> None:
    plan = planned({"model": "meta-llama/Llama-3.3-70B-Instruct", "hardware": {"gpu": "T4-16GB"}, "pin": {"engine": "vllm"}}, tmp_path)
    assert plan.choice is None
    assert as_json(plan)["memory_terms"] == []

"""Parsers of tool calls and reasoning by family: only for a model without an entry in the catalogue, never taken over by `like`."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import pytest
from shipped_families import FAMILIES

from generator.architecture.families import family_of
from generator.facts.model import Model, resolve_model
from generator.rulebook.book import RuleBook, load
from generator.spec.deployment import read_spec

CONFIGS = Path(__file__).resolve().parents[1] / "data" / "configs"


@cache
def book() -> RuleBook:
    return load("default")


def _model(folder: Path, name: str, config: Path) -> Model:
    spec = folder / "spec.yaml"
    spec.write_text(f"model: {{id: {name}, config: {config}}}\nhardware: {{gpu: H100-80GB}}\n", encoding="utf-8")
    return resolve_model(read_spec(spec), book())


def test_a_model_without_an_entry_gets_those_of_its_family(tmp_path: Path) -> None:
    found = _model(tmp_path, "acme/laguna-tuned", CONFIGS / "2026" / "poolside__Laguna-S-2.1-FP8.json")
    assert found.tool_call_parser == {"vllm": "poolside_v1", "sglang": "poolside_v1"}
    assert found.reasoning_parser == {"vllm": "poolside_v1", "sglang": "poolside_v1"}


def test_an_entry_says_all_of_its_model(tmp_path: Path) -> None:
    """A listed model without a parser has none: base models and those that do not reason are listed so."""
    listed = next(name for name, entry in book().section("models").items() if entry["family"] == "gemma4" and "tool_call_parser" not in entry)
    assert FAMILIES["gemma4_text"]["tool_call_parser"]
    assert not _model(tmp_path, listed, CONFIGS / "google__gemma-4-26B-A4B.json").tool_call_parser


@pytest.mark.parametrize("name", sorted(name for name, entry in FAMILIES.items() if "like" in entry))
def test_like_does_not_take_parsers_over(name: str) -> None:
    family = family_of(FAMILIES, name)
    assert family is not None
    assert dict(family.tool_call_parser) == FAMILIES[name].get("tool_call_parser", {})
    assert dict(family.reasoning_parser) == FAMILIES[name].get("reasoning_parser", {})


@pytest.mark.parametrize("setting", ["tool_call_parser", "reasoning_parser"])
def test_the_engines_know_the_words(setting: str) -> None:
    """Each word is one of the parsers of the engine's default version."""
    flags = {engine: json.dumps(book().section("flags")[engine]) for engine in ("vllm", "sglang")}
    for name, entry in FAMILIES.items():
        for engine, word in entry.get(setting, {}).items():
            assert f'"{word}"' in flags[engine], (name, engine, word)

"""What engines' registries say of models, and the words of parsers, as the tables of options have them."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest

from generator.facts.engine import needs_code, resolve_engine, standing
from generator.facts.model import Model, resolve_model
from generator.quantity import version_key
from generator.readers.document import Document
from generator.rulebook.book import RuleBook, load
from generator.spec.deployment import from_document

STANDINGS = [
    ("vllm", "0.9.2", "deepseek-ai/DeepSeek-R1", "loads"),
    ("vllm", "0.6.5", "deepseek-ai/DeepSeek-R1", "newer"),
    ("vllm", "0.10.0", "openai/gpt-oss-20b", "newer"),
    ("vllm", "0.10.1", "openai/gpt-oss-20b", "loads"),
    ("vllm", "0.23.0", "Qwen/Qwen-7B-Chat", "loads"),
    ("vllm", "0.24.0", "Qwen/Qwen-7B-Chat", "older"),
    ("sglang", "0.5.23", "Qwen/Qwen-7B-Chat", "loads"),
    ("sglang", "0.5.11", "deepseek-ai/DeepSeek-V4-Flash", "newer"),
    ("sglang", "0.5.12", "deepseek-ai/DeepSeek-V4-Flash", "loads"),
    ("tgi", "3.3.7", "deepseek-ai/DeepSeek-V3", "loads"),
    ("tgi", "3.3.7", "google/gemma-4-31B-it", "never"),
    ("tensorrt-llm", "1.2.1", "Qwen/Qwen3.6-27B", "never"),
    ("ollama", "0.33.0", "Qwen/Qwen3.6-27B", "unknown"),
]
CODE = [
    ("vllm", "0.33.0", "MiniMaxAI/MiniMax-M2.7", False),
    ("vllm", "0.23.0", "MiniMaxAI/MiniMax-M2.7", True),
    ("sglang", "0.5.10", "MiniMaxAI/MiniMax-M2.7", False),
    ("vllm", "0.33.0", "moonshotai/Kimi-K2-Instruct", True),  # its tokenizer is code
    ("vllm", "0.33.0", "deepseek-ai/DeepSeek-V3", False),
    ("tgi", "3.3.7", "MiniMaxAI/MiniMax-M2.7", True),
]


@pytest.fixture(scope="module")
def book() -> RuleBook:
    return load("default")


def model_of(name: str, book: RuleBook) -> Model:
    spec, problems = from_document(Document("spec.yaml", {"name": "one", "model": name, "hardware": {"gpu": "H100-80GB"}}, {}, {}), Path("spec.yaml"))
    assert spec is not None, problems
    return resolve_model(spec, book)


@pytest.mark.parametrize(("engine", "version", "model", "expected"), STANDINGS)
def test_standing(engine: str, version: str, model: str, expected: str, book: RuleBook) -> None:
    assert standing(book, resolve_engine(engine, version, book), model_of(model, book)) == expected


@pytest.mark.parametrize(("engine", "version", "model", "expected"), CODE)
def test_code_of_the_repository(engine: str, version: str, model: str, expected: bool, book: RuleBook) -> None:
    assert needs_code(book, resolve_engine(engine, version, book), model_of(model, book)) is expected


@pytest.mark.parametrize(("engine", "setting"), [*product(("vllm", "sglang"), ("tool_call_parser", "reasoning_parser", "tokenizer_mode"))])
def test_words_are_known_where_the_options_have_them(engine: str, setting: str, book: RuleBook) -> None:
    words = {entry[setting][engine] for entry in book.section("models").values() if engine in (entry.get(setting) or {})}  # type: ignore[literal-required,operator]
    option = book.section("flags")[engine]["options"][f"--{setting.replace('_', '-')}"]
    for version in book.section("engines")[engine]["versions"]:
        here, key = resolve_engine(engine, version, book), version_key(version)
        table = next(one for one in (option if isinstance(option, list) else [option]) if key < version_key(one.get("until", "999")))
        if key < version_key(table.get("words_since", "0")):
            continue
        spelled = (here.spelling(setting) or {}).get("values") or {}
        assert {word for word in words if here.takes(setting, word)} == {
            word for word in words if spelled.get(word, word) in table.get("words", table.get("choices"))
        }, version


def test_a_least_version_says_more_than_the_registry(book: RuleBook) -> None:
    """Versions that know a model's class are read in the registry; a catalogue entry only names a later one, and says where that was read."""
    listed = {name: entry for name, entry in book.section("models").items() if entry.get("min_version")}
    for name, entry in listed.items():
        model = model_of(name, book)
        assert any(source.endswith("-min-versions") for source in entry.get("source") or ()), name
        for engine, least in entry["min_version"].items():
            assert standing(book, resolve_engine(engine, least, book), model) == "loads", (name, engine)
            older = [version for version in book.section("engines")[engine]["versions"] if version_key(version) < version_key(least)]
            assert any(standing(book, resolve_engine(engine, version, book), model) == "loads" for version in older), f"{name}: the registry says it"
    assert listed

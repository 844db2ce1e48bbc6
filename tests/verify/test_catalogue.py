"""The tables of options themselves: disjoint in time, sourced, in agreement with the settings we emit and with the live parsers."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from generator.decide.context import resolve
from generator.decide.settings import emitted
from generator.errors import InputError
from generator.facts.engine import resolve_engine
from generator.quantity import version_key
from generator.readers.document import Document
from generator.rulebook.book import RuleBook, load
from generator.spec.deployment import from_document
from generator.verify.catalogue import catalogue

DATA = Path(__file__).parents[1] / "data" / "engine-flags"
MINORS_OF_VLLM = 24
FED = {
    "--tool-call-parser", "--reasoning-parser", "--quantization", "-q", "--kv-cache-dtype", "--dtype", "--load-format", "--numa", "--reasoning-format",
}  # fmt: skip
"""Their words are not in the parser's table but in registries or in what reads them, which the tables take them from."""


@functools.cache
def book() -> RuleBook:
    """The default rule set."""
    return load()


def spans(entries: Any) -> Iterator[tuple[tuple[int, ...], tuple[int, ...]]]:
    """From the first version that has an entry to the first that no longer has it."""
    for entry in entries if isinstance(entries, list) else [entries]:
        yield version_key(entry.get("since") or "0"), version_key(entry.get("until") or "999999")


def overlapping(entries: Any) -> bool:
    """Whether two entries hold for one version, or one for none."""
    found = sorted(spans(entries))
    return any(start >= end for start, end in found) or any(a[1] > b[0] for a, b in pairwise(found))


@pytest.mark.parametrize("engine", ["vllm", "sglang", "tgi", "tensorrt-llm", "llama.cpp", "ollama"])
def test_no_two_entries_hold_for_one_version(engine: str) -> None:
    facts = book().section("flags")[engine]
    assert [name for name, entries in facts["options"].items() if overlapping(entries)] == []
    settings = resolve_engine(engine, None, book()).facts["flags"]
    assert [name for name, entries in settings.items() if overlapping(entries)] == []


def test_the_check_of_overlaps_can_fail() -> None:
    assert overlapping([{"until": "0.12.0"}, {"since": "0.11.0"}])
    assert overlapping({"since": "0.12.0", "until": "0.12.0"})
    assert not overlapping([{"until": "0.12.0"}, {"since": "0.12.0"}])


def test_every_engine_has_a_table_with_a_source() -> None:
    assert set(book().section("flags")) == set(book().section("engines"))
    for facts in book().section("flags").values():
        assert all(source in book().section("sources") for source in facts["source"])


def test_catalogued_versions_are_those_of_the_tables() -> None:
    for engine, facts in book().section("engines").items():
        assert list(facts["versions"]) == list(book().section("flags")[engine]["versions"]), engine
    versions = book().section("engines")["vllm"]["versions"]
    assert len({tuple(version.split(".")[:2]) for version in versions}) == MINORS_OF_VLLM


def spelled(engine: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Version, setting and entry, for every setting that a version can spell."""
    for version in book().section("engines")[engine]["versions"]:
        resolved = resolve_engine(engine, version, book())
        for setting in resolved.facts["flags"]:
            entry = resolved.spelling(setting)
            if entry is not None:
                yield version, setting, dict(entry)


@pytest.mark.parametrize("engine", ["vllm", "sglang", "tgi", "tensorrt-llm", "llama.cpp"])
def test_every_flag_we_emit_is_one_the_version_takes(engine: str) -> None:
    checked = 0
    for version, setting, entry in spelled(engine):
        known = catalogue(book(), engine, version)
        for flag in [entry.get("flag"), *entry.get("also", ())]:
            if flag is None or entry.get("positional"):
                continue
            checked += 1
            assert flag in known.taken, (version, setting, flag)
            option = known.taken[flag]
            assert (entry["type"] == "switch") == (option.kind == "switch"), (version, setting)
            if option.words and entry["type"] == "choice":
                assert set(entry["choices"]) <= set(option.words), (version, setting, set(entry["choices"]) - set(option.words))
            if option.words and entry.get("values"):
                assert {word for word in entry["values"].values() if word is not None} <= set(option.words), (version, setting)
    assert checked > 5


@pytest.mark.parametrize(("engine", "version"), [("vllm", "0.33.0"), ("sglang", "0.5.23"), ("tgi", "3.3.7"), ("llama.cpp", "b11312")])
def test_the_table_of_the_newest_version_is_what_its_parser_said(engine: str, version: str) -> None:
    flags = json.loads((DATA / f"{engine}-{version}.json").read_text())["flags"]
    known = catalogue(book(), engine, version)
    there = [flag for flag in flags if not flag.get("positional") and not flag.get("removed")]
    live = {name for flag in there for name in [*flag["names"], *flag.get("hidden", ()), *flag.get("negated", ())]}
    ours = {name for name in known.taken if name not in ("--help", "-h", "--version", "-V", "-O")}  # vLLM rewrites -O before it parses
    assert live - {"--help", "-h", "--usage", "--version", "-V"} - ours == set()
    assert ours - live == set()
    for flag in flags:
        for name in flag["names"]:
            if name in known.taken:
                option = known.taken[name]
                assert (option.kind == "switch") is (not flag["takes_value"]), name
                assert set(option.words or ()) == set(map(str, flag.get("choices") or flag.get("words") or ())) or name in FED, name


def test_parsers_of_the_models_are_in_the_registry_of_every_version_that_gets_them() -> None:
    checked = 0
    for name, model in book().section("models").items():
        for setting, parsers in (("tool_call_parser", model.get("tool_call_parser")), ("reasoning_parser", model.get("reasoning_parser"))):
            for engine, word in (parsers or {}).items():
                least = (model.get("min_version") or {}).get(engine)
                for version in book().section("engines")[engine]["versions"]:
                    resolved = resolve_engine(engine, version, book())
                    if (least and version_key(version) < version_key(least)) or not resolved.takes(setting, word):
                        continue
                    entry = resolved.spelling(setting)
                    assert entry is not None
                    emitted = (entry.get("values") or {}).get(word, word)
                    option = catalogue(book(), engine, version).taken.get(entry.get("flag", ""))
                    assert option is not None and (option.words is None or emitted in option.words), (name, engine, version, emitted)
                    assert emitted not in option.old_words, (name, engine, version, emitted)
                    checked += 1
                assert resolve_engine(engine, None, book()).takes(setting, word), f"{name}: {engine} has no {setting} {word}"
    assert checked > 500


def test_a_parser_newer_than_the_version_is_not_taken() -> None:
    assert not resolve_engine("vllm", "0.10.0", book()).takes("tool_call_parser", "kimi_k3")
    assert resolve_engine("vllm", "0.33.0", book()).takes("tool_call_parser", "kimi_k3")
    assert not resolve_engine("vllm", "0.33.0", book()).takes("tool_call_parser", None)


def test_a_setting_that_the_engine_takes_only_sometimes_says_when() -> None:
    conditional = {
        (engine, setting)
        for engine, facts in book().section("engines").items()
        for setting, entries in facts["flags"].items()
        if any("accepted_when" in entry for entry in entries)
    }
    assert conditional >= {("vllm", "quantization"), ("sglang", "quantization"), ("tgi", "dtype")}


@pytest.mark.parametrize(
    ("engine", "facts", "has", "lacks"),
    [
        ("tgi", {"method.family": "float"}, "dtype", "served_name"),
        ("tgi", {"method.family": "int4"}, "kv_cache_dtype", "dtype"),
        ("vllm", {"weights.origin": "online"}, "quantization", "ctx_size"),
        ("vllm", {"weights.origin": "published"}, "dtype", "quantization"),
        ("llama.cpp", {}, "ubatch_size", "max_model_len"),
    ],
)
def test_rows_read_the_settings_that_an_engine_takes_here(engine: str, facts: dict[str, str], has: str, lacks: str) -> None:
    settings = resolve_engine(engine, None, book()).settings(facts)
    assert has in settings and lacks not in settings


def test_a_setting_of_another_version_is_no_capability_to_pass_over() -> None:
    """A row for it matches, and `emitted` then says that this version has no word for it."""
    old = resolve_engine("vllm", "0.10.0", book())
    assert not old.has("nodes") and "nodes" in old.settings({})


def test_a_row_that_sets_it_elsewhere_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = resolve_engine("vllm", None, book())
    monkeypatch.setattr("generator.decide.settings.collected", lambda *rest: ({"quantization": "fp8"}, []))
    data = {"name": "one", "model": "Qwen/Qwen3-8B", "hardware": {"gpu": "H100-80GB"}}
    spec, _ = from_document(Document("spec.yaml", data, {}, {}), Path("spec.yaml"))
    assert spec is not None
    context = resolve(spec, book())
    assert emitted(context, {"weights.origin": "online"}, {}, engine)[0] == {"quantization": "fp8"}
    with pytest.raises(InputError, match="takes it only where"):
        emitted(context, {"weights.origin": "published"}, {}, engine)

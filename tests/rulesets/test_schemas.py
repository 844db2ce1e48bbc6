"""The JSON Schemas: up to date with the vocabulary, named by every shipped file, and true of it."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from typing import Any

import pytest
from jsonschema.validators import Draft202012Validator
from referencing import Registry, Resource

from generator.readers.document import parse_yaml, read_yaml
from generator.rulebook.schemas import kind_of, names, schema, without_words

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted(
    path
    for top in ("rules", "tests/cases", "examples/policies")
    for path in (ROOT / top).rglob("*.yaml")
    if "files" not in path.relative_to(ROOT).parts
)
EXPECTED = [
    "table", "thresholds", "vocabulary", "sources", "gpus", "models", "methods", "engine", "support", "kv_cache", "quality", "architectures",
    "ruleset", "cases", "project", "spec",
]  # fmt: skip
LIMIT = 4 << 20
MODELINE = re.compile(r"# yaml-language-server: \$schema=(\S+)")


def _script() -> Any:
    spec = importlib.util.spec_from_file_location("make_schemas", ROOT / "scripts/make_schemas.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def whole(name: str) -> Any:
    """The validator with the names and values of the shipped vocabulary."""
    spec = Registry().with_resource("spec.json", Resource.from_contents(schema("spec")))
    return Draft202012Validator(schema(name), registry=spec)


def test_all_are_there() -> None:
    assert set(EXPECTED) <= set(names())


@pytest.mark.parametrize("name", names())
def test_each_is_a_schema(name: str) -> None:
    Draft202012Validator.check_schema(schema(name))
    Draft202012Validator.check_schema(without_words(schema(name)))


def test_they_are_up_to_date() -> None:
    assert _script().stale() == [], "run scripts/make_schemas.py"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_shipped_files_validate_and_name_their_schema(path: Path) -> None:
    data = read_yaml(path, path.name, LIMIT).data
    beside = path.parent == ROOT / "rules" and path.stem in names()  # not part of a set: these are named by what they are
    kind = path.stem if beside else kind_of(data)
    assert kind is not None
    errors = [f"{list(error.absolute_path)}: {error.message[:200]}" for error in whole(kind).iter_errors(data)]
    assert errors == []
    named = MODELINE.match(path.read_text(encoding="utf-8"))
    if not beside and "cases" not in path.relative_to(ROOT).parts:
        assert named is not None, "the first line names the schema"
    if named is not None:
        assert (path.parent / named[1]).resolve() == ROOT / f"rules/schemas/{kind}.json"


REFUSED = {
    "table": [
        "{table: reject, rows: [{id: one, because: x, when: {gpu.vendr: nvidia}}]}",
        "{table: reject, rows: [{id: one, because: x, when: {gpu.vendor: nvidea}}]}",
        "{table: reject, rows: [{id: one, because: x, when: {gpus_used: {above: 2}}}]}",
        "{table: reject, rows: [{id: one, because: x, when: {model.moe: maybe}}]}",
        "{table: prefer, rows: [{id: one, because: x, rank: {higher: engine}}]}",
        "{table: settings, rows: [{id: one, because: x, set: {prot: 1}}]}",
        "{table: rejects, rows: []}",
    ],
    "cases": ["[{id: one, given: {model: x}, expect: {choice: null}}]", "[{id: one, given: {model: x, hardware: {gpu: cpu}}, expect: {chioce: null}}]"],
    "thresholds": ["{thresholds: {a: {meaning: x, unit: x, checked: 2026-12-01}}}",
        "{thresholds: {a: {meaning: x, unit: x, by_version: [{since: '1', value: 1, source: x}, {since: '2', value: 1}], checked: 2026-12-01}}}",
        "{thresholds: {a: {meaning: x, unit: x, value: 1, source: x, checked: 1.12.2026}}}"],
    "project": ["{specs: [a.yaml]}", "{specs: [], out: out}", "{specs: a.yaml, out: out, rule: x}"],
    "sources": ["{sources: {a: {title: x, read: 2026-12-01}}}"],
}  # fmt: skip


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, texts in REFUSED.items() for text in texts])
def test_they_refuse(name: str, text: str) -> None:
    data = parse_yaml(text, "x").data
    assert list(whole(name).iter_errors(data))


def test_names_of_rows_are_completed() -> None:
    parts = schema("table")["$defs"]
    when = parts["when"]["properties"]
    vocabulary = read_yaml(ROOT / "rules/vocabulary.yaml", "x", LIMIT).data["names"]
    assert list(when) == list(vocabulary)
    assert all(cell["description"] for cell in when.values())
    assert when["engine"]["$ref"] == "#/$defs/of_engines"
    assert "word_of_engines" in json.dumps(parts["of_engines"])
    assert "vllm" in json.dumps(parts["word_of_engines"])

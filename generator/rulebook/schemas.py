"""The shipped JSON Schemas, and their violations as problems with positions and suggestions.

Floor 1. The validator is imported lazily: custom rule sets and invalid specs need it, shipped sets do not."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from generator.errors import Problem
from generator.readers.document import Document
from generator.readers.resources import folder, shipped
from generator.rulebook.schema_check import Schema

KINDS = {
    "ruleset": "ruleset", "table": "table", "thresholds": "thresholds", "names": "vocabulary", "settings": "vocabulary", "sources": "sources", "gpus": "gpus",
    "gpu_names": "gpu_names",
    "architectures": "architectures", "models": "models", "methods": "methods", "ggml_types": "methods", "quality": "quality",
    "support": "support", "options": "flags", "dtypes": "kv_cache", "kv_cache": "kv_cache", "engine": "engine",
    "quantizers": "quantizers", "transforms": "transforms", "training_jobs": "training_jobs", "gates": "gates", "families": "families", "registry": "registry",
    "publishers": "publishers", "hubs": "hubs", "platforms": "platforms",
}  # fmt: skip
"""The schema for each top-level key of a rule set file; the first key present decides."""


def kind_of(data: object) -> str | None:
    """The schema's name for a file of a rule set; None if it has no known top-level key."""
    if isinstance(data, list):
        return "cases"
    if not isinstance(data, Mapping):
        return None
    return next((schema for key, schema in KINDS.items() if key in data), None)


def names() -> list[str]:
    """The names of the shipped schemas."""
    return sorted(path.stem for path in (folder("rules") / "schemas").glob("*.json"))


def schema(name: str) -> Schema:
    """A shipped schema."""
    data: Schema = shipped(f"schemas/{name}.json")
    return data


@lru_cache
def _validator(name: str) -> Any:
    """What checks a file against a shipped schema, but for names and values, which need the whole rule set."""
    from jsonschema.validators import Draft202012Validator
    from referencing import Registry, Resource

    kinds: Any = Registry
    registry = kinds(retrieve=lambda uri: Resource.from_contents(schema(uri.removesuffix(".json"))))
    return Draft202012Validator(without_words(schema(name)), registry=registry)


def without_words(whole: Schema) -> Schema:
    """A schema without the shipped vocabulary: parts with a `form` are replaced by it."""
    parts = whole.get("$defs", {})
    loose = {name: parts.get(f"{name}_form", part) for name, part in parts.items()}
    return {**whole, "$defs": loose} if parts else dict(whole)


def problems_of(document: Document, name: str) -> list[Problem]:
    """All violations of a schema's form by a file, in file order."""
    from generator.readers.problems import schema_problems

    return schema_problems(document, _validator(name).iter_errors(document.data))

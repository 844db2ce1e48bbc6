"""The shipped JSON Schemas, and their violations as problems with positions and suggestions.

Floor 1. Importing and running a validator costs a third of a start, and nearly every spec is valid, so anything goes first to a fast
acceptance test: `accepts` returns True only if draft 2020-12 does (a test compares the two); an unknown keyword makes it return False. What
it does not accept goes to the real validator, which custom rule sets and invalid specs need, shipped sets do not."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, TypeGuard

from generator.errors import Problem
from generator.readers.document import Document
from generator.readers.resources import folder, shipped

Schema = Mapping[str, Any]


def accepts(schema: Schema | bool, value: object) -> bool:
    """Whether the data is certainly valid."""
    if isinstance(schema, bool):
        return schema
    for keyword, wanted in schema.items():
        if keyword in _SAYS_NOTHING:
            continue
        check = _CHECKS.get(keyword)
        if check is None or not check(wanted, value, schema):
            return False
    return True


def _type(wanted: str | list[str], value: object, _: Schema) -> bool:
    return any(_TYPES[name](value) for name in ([wanted] if isinstance(wanted, str) else wanted))


def _number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


_TYPES: dict[str, Callable[[object], bool]] = {
    "string": lambda value: isinstance(value, str),
    "number": _number,
    "integer": lambda value: _number(value) and (isinstance(value, int) or value.is_integer()),
    "boolean": lambda value: isinstance(value, bool),
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "null": lambda value: value is None,
}


def _equal(one: object, other: object) -> bool:
    """Equality of scalars, with `1` and `true` distinct; lists and mappings are left to the validator."""
    if isinstance(one, list | dict) or isinstance(other, list | dict):
        return False
    return bool(one == other) and isinstance(one, bool) is isinstance(other, bool)


def _properties(wanted: Mapping[str, Schema | bool], value: object, _: Schema) -> bool:
    return not isinstance(value, dict) or all(accepts(wanted[key], inner) for key, inner in value.items() if key in wanted)


def _additional(wanted: Schema | bool, value: object, schema: Schema) -> bool:
    if not isinstance(value, dict):
        return True
    if "patternProperties" in schema:
        return False
    known = schema.get("properties", {})
    return all(accepts(wanted, inner) for key, inner in value.items() if key not in known)


def _dependent(wanted: Mapping[str, list[str]], value: object, _: Schema) -> bool:
    if not isinstance(value, dict):
        return True
    return all(needed in value for key, others in wanted.items() if key in value for needed in others)


def _if(wanted: Schema | bool, value: object, schema: Schema) -> bool:
    """An `if` that only tests a type is certain; `accepts` may refuse what another one would take."""
    if not isinstance(wanted, dict) or set(wanted) != {"type"}:
        return False
    return accepts(schema.get("then" if _type(wanted["type"], value, wanted) else "else", True), value)


def _unique(wanted: object, value: object, _: Schema) -> bool:
    if not wanted or not isinstance(value, list):
        return True
    return all(isinstance(item, str | int) for item in value) and len(set(value)) == len(value)


@lru_cache(256)
def _pattern(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


_CHECKS: dict[str, Callable[[Any, object, Schema], bool]] = {
    "type": _type,
    "const": lambda wanted, value, _: _equal(wanted, value),
    "enum": lambda wanted, value, _: any(_equal(one, value) for one in wanted),
    "minimum": lambda wanted, value, _: not _number(value) or value >= wanted,
    "maximum": lambda wanted, value, _: not _number(value) or value <= wanted,
    "exclusiveMinimum": lambda wanted, value, _: not _number(value) or value > wanted,
    "minLength": lambda wanted, value, _: not isinstance(value, str) or len(value) >= wanted,
    "maxLength": lambda wanted, value, _: not isinstance(value, str) or len(value) <= wanted,
    "pattern": lambda wanted, value, _: not isinstance(value, str) or _pattern(wanted).search(value) is not None,
    "required": lambda wanted, value, _: not isinstance(value, dict) or all(key in value for key in wanted),
    "properties": _properties,
    "additionalProperties": _additional,
    "propertyNames": lambda wanted, value, _: not isinstance(value, dict) or all(accepts(wanted, key) for key in value),
    "dependentRequired": _dependent,
    "items": lambda wanted, value, _: not isinstance(value, list) or all(accepts(wanted, item) for item in value),
    "minItems": lambda wanted, value, _: not isinstance(value, list) or len(value) >= wanted,
    "maxItems": lambda wanted, value, _: not isinstance(value, list) or len(value) <= wanted,
    "uniqueItems": _unique,
    "anyOf": lambda wanted, value, _: any(accepts(one, value) for one in wanted),
    "if": _if,
}

_SAYS_NOTHING = frozenset(("$schema", "$id", "$comment", "title", "description", "default", "examples", "then", "else", "form", "units", "called"))
"""Annotations (`form`, `units` and `called` are gen-deploy's own), and keywords that `if` handles."""


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

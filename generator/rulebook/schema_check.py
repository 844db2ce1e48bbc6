"""A fast acceptance test for a JSON Schema; anything it does not accept goes to a real validator.

Floor 1, pure. Importing and running a validator costs a third of a start, and nearly every spec is valid. `accepts`
returns True only if draft 2020-12 does (a test compares the two); an unknown keyword makes it return False."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, TypeGuard

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

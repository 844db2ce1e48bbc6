"""A reader for untrusted JSON, with its own depth limit and positions.

Floor 0. The depth limit of Python's own reader depends on version and stack; here it is always `MAX_DEPTH`."""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

from generator.errors import InputError, Place, fail

MAX_DEPTH = 64
"""Levels of lists and objects; the deepest file of an engine or hub has about eight."""

MAX_VALUES = 500_000
"""Limit of commas and opening brackets, including those in texts: each may mean a value of about seventy bytes."""

_TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"?|[\[{]|[\]}]', re.DOTALL)


def parse(text: str, name: str, strict: bool = True, most: int = MAX_VALUES, constants: bool = False) -> object:
    """The value of a JSON text; in strict mode without duplicate keys, and without NaN and Infinity unless `constants` allows them.

    Raises `InputError` with a position: `json-syntax`, `duplicate-key`, `too-deep`, and `too-many-nodes` for more than `most` values."""
    if sum(map(text.count, ",[{")) > most:
        raise fail("too-many-nodes", f"more than {most} values", Place(name))

    def unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
        result = dict(pairs)
        if len(result) != len(pairs):
            seen: set[str] = set()
            twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
            raise fail("duplicate-key", f"{twice!r} appears twice in an object", Place(name))
        return result

    def no_constant(word: str) -> NoReturn:
        raise fail("json-syntax", f"{word} is not JSON", Place(name))

    try:
        refused = None if constants else no_constant
        data = json.loads(text, object_pairs_hook=unique, parse_constant=refused) if strict else json.loads(text)
    except json.JSONDecodeError as error:
        raise fail("json-syntax", error.msg, Place(name, error.lineno, error.colno)) from None
    except ValueError:
        raise fail("json-syntax", "a number has too many digits", Place(name)) from None
    except RecursionError:
        raise _too_deep(text, name) from None
    level = [data] if isinstance(data, dict | list) else []
    for _ in range(MAX_DEPTH):
        level = [inner for outer in level for inner in (outer.values() if isinstance(outer, dict) else outer) if isinstance(inner, dict | list)]
    if level:
        raise _too_deep(text, name)
    return data


def parse_object(text: str, name: str, most: int = MAX_VALUES, constants: bool = False) -> dict[str, object]:
    """The object of a strict JSON text; see `parse`."""
    data = parse(text, name, most=most, constants=constants)
    if not isinstance(data, dict):
        raise fail("json-syntax", "a JSON object is expected", Place(name))
    return data


def parse_or_none(raw: bytes) -> Any:
    """The value of strict JSON bytes; None if they are invalid in any way."""
    try:
        return parse(raw.decode(), "")
    except (InputError, UnicodeDecodeError):
        return None


def _too_deep(text: str, name: str) -> InputError:
    """The error at the bracket that exceeds the depth limit."""
    depth = at = 0
    for found in _TOKEN.finditer(text):
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(found[0], 0)
        if depth > MAX_DEPTH:
            at = found.start()
            break
    place = Place(name, text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at))
    return fail("too-deep", f"nested deeper than {MAX_DEPTH} levels", place)

"""Data as YAML and JSON text: order kept, every string in double quotes, so that no parser reads it as another type.

Floor 6, pure. A plain `1e3` is a string in YAML 1.1 and a number for Compose (written in Go)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from decimal import Decimal

from generator.errors import internal

_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*\Z")
_RESERVED = {"y", "n", "yes", "no", "on", "off", "true", "false", "null"}


def quoted(text: str) -> str:
    """A string in double quotes, as both YAML and JSON read it."""
    body = json.dumps(text, ensure_ascii=False)
    return "".join(c if c.isprintable() else f"\\u{ord(c):04x}" if ord(c) < 0x10000 else f"\\U{ord(c):08x}" for c in body)


def scalar(value: object) -> str:
    """One value, or an empty collection, on one line."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int():
            return str(int(value))
        case float():
            text = format(Decimal(repr(value)), "f")
            return text if "." in text else text + ".0"
        case str():
            return quoted(value)
        case Mapping() if not value:
            return "{}"
        case list() | tuple() if not value:
            return "[]"
    raise internal("bad-data", f"{type(value).__name__} cannot be written as YAML")


def key(name: str) -> str:
    """A key, unquoted if every parser reads it as a string."""
    return name if _KEY.match(name) and name.lower() not in _RESERVED else quoted(name)


def block(data: object) -> str:
    """A mapping or list as block YAML, ending in a newline."""
    return "".join(f"{line}\n" for line in _lines(data))


def _lines(data: object) -> Iterator[str]:
    if isinstance(data, Mapping):
        entries = [(f"{key(name)}:", value) for name, value in data.items()]
    elif isinstance(data, list | tuple):
        entries = [("-", value) for value in data]
    else:
        entries = []
        yield scalar(data)
    for head, value in entries:
        if not isinstance(value, Mapping | list | tuple) or not value:
            yield f"{head} {scalar(value)}"
            continue
        first, *rest = _lines(value)
        yield from [f"- {first}"] if head == "-" else [head, f"  {first}"]
        yield from (f"  {line}" for line in rest)


def inner(data: object, indent: int) -> str:
    """The same for the middle of a template: what follows `key:`, a block so many blanks to the right."""
    nested = isinstance(data, Mapping | list | tuple) and data
    return f"\n{block(data)}".rstrip("\n").replace("\n", "\n" + " " * indent) if nested else f" {scalar(data)}"


def json_text(data: object) -> str:
    """Data as JSON, two spaces, order kept, ending in a newline."""
    return json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


SCALARS = frozenset((str, int, float, bool, type(None)))
"""The scalar types of JSON."""

"""Data as YAML and JSON text: order kept, every string in double quotes, so that no parser reads it as another type.

Floor 6, pure. A plain `1e3` is a string in YAML 1.1 and a number for Compose (written in Go)."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import lru_cache
from typing import NoReturn

from generator.errors import internal

_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*\Z")
_RESERVED = {"y", "n", "yes", "no", "on", "off", "true", "false", "null"}


def quoted(text: str) -> str:
    """A string in double quotes, as both YAML and JSON read it."""
    body = json.dumps(text, ensure_ascii=False)
    if body.isprintable():
        return body
    return "".join(c if c.isprintable() else _escaped(c) for c in body)


def _escaped(c: str) -> str:
    code = ord(c)
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def scalar(value: object) -> str:
    """One value on one line."""
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
    raise internal("bad-data", f"{type(value).__name__} cannot be written as YAML")


def key(name: str) -> str:
    """A key, unquoted if every parser reads it as a string."""
    return name if _KEY.match(name) and name.lower() not in _RESERVED else quoted(name)


def block(data: object, indent: int = 0) -> str:
    """A mapping or list as block YAML, ending in a newline."""
    return "".join(f"{' ' * indent}{line}\n" for line in _lines(data))


def _lines(data: object) -> list[str]:
    if isinstance(data, Mapping):
        return [line for name, value in data.items() for line in _entry(f"{key(name)}:", value)]
    if isinstance(data, list | tuple):
        return [line for value in data for line in _item(value)]
    return [scalar(data)]


def _entry(head: str, value: object) -> list[str]:
    if isinstance(value, Mapping | list | tuple):
        if not value:
            return [f"{head} {'{}' if isinstance(value, Mapping) else '[]'}"]
        return [head, *("  " + line for line in _lines(value))]
    return [f"{head} {scalar(value)}"]


def _item(value: object) -> list[str]:
    if isinstance(value, Mapping | list | tuple):
        if not value:
            return [f"- {'{}' if isinstance(value, Mapping) else '[]'}"]
        first, *rest = _lines(value)
        return [f"- {first}", *("  " + line for line in rest)]
    return [f"- {scalar(value)}"]


def json_text(data: object) -> str:
    """Data as JSON, two spaces, order kept, ending in a newline: like `json.dumps` in half its time."""
    return _json(data, "\n") + "\n"


def _json(value: object, line: str) -> str:
    """A value starting on `line` (a line break with its indent); flat data is left to the C encoder."""
    inner = line + "  "
    if isinstance(value, dict) and value:
        if SCALARS.issuperset(map(type, value.values())):
            return f"{{{inner}{_encoder(inner)(value)[1:-1]}{line}}}"
        items = [f"{inner}{_string(name)}: {_scalar(item) if type(item) in SCALARS else _json(item, inner)}" for name, item in value.items()]
        return "{" + ",".join(items) + line + "}"
    if isinstance(value, list | tuple) and value:
        if SCALARS.issuperset(map(type, value)):
            return f"[{inner}{_encoder(inner)(value)[1:-1]}{line}]"
        return "[" + ",".join([inner + _json(item, inner) for item in value]) + line + "]"
    return _scalar(value)


def _scalar(value: object) -> str:
    if type(value) is str:
        return _string(value)
    return "null" if value is None else str(value) if type(value) is int else _encoder("")(value)


@lru_cache(64)
def _encoder(line: str) -> Callable[[object], str]:
    """An encoder of flat data, one item per line; without JSON's C extension, the plain one."""
    make = getattr(json.encoder, "c_make_encoder", None)
    if make is None:
        return json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=("," + line, ": ")).encode
    encode = make(None, _unknown, _string, None, ": ", "," + line, False, False, False)
    return lambda value: "".join(encode(value, 0))


def _unknown(value: object) -> NoReturn:
    raise internal("bad-data", f"{type(value).__name__} cannot be written as JSON")


_string = json.encoder.encode_basestring
SCALARS = frozenset((str, int, float, bool, type(None)))
"""The scalar types of JSON."""

"""YAML and JSON, read back and compared with the data they were written from.

Floor 4, pure.
"""

from __future__ import annotations

import json
import marshal
from contextlib import suppress
from typing import Any

import yaml

from generator.source import parse_yaml
from generator.verify.meant import internal

_Loader: Any = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader


def same_yaml(text: str, data: Any, name: str) -> None:
    """Raise an internal error unless both dialects of YAML, 1.1 and 1.2, give back `data`."""
    _compare(yaml.load(text, _Loader), data, name)
    _compare(parse_yaml(text, name).data, data, name)


def same_json(text: str, data: Any, name: str) -> None:
    """Raise an internal error unless the JSON text gives back `data`."""
    _compare(json.loads(text), data, name)


def _compare(read: Any, meant: Any, name: str) -> None:
    with suppress(ValueError):  # a subclass of str, which is compared below
        if marshal.dumps(read, 2) == marshal.dumps(meant, 2):  # types, values and order, nearly always, and at once
            return
    where = difference(read, meant)
    if where is not None:
        raise internal("not-as-meant", f"{name} does not read back as it was meant at {where or 'its root'}")


def difference(read: Any, meant: Any, path: str = "") -> str | None:
    """Where two values differ, types and order of keys included; None where they do not."""
    if isinstance(meant, tuple):
        meant = list(meant)
    if isinstance(meant, str):
        return None if type(read) is str and read == str(meant) else path
    if isinstance(meant, dict):
        if not isinstance(read, dict) or list(read) != list(meant):
            return path
        inside = (difference(read[key], meant[key], f"{path}.{key}") for key in meant)
        return next((where for where in inside if where is not None), None)
    if isinstance(meant, list):
        if not isinstance(read, list) or len(read) != len(meant):
            return path
        inside = (difference(read[i], item, f"{path}[{i}]") for i, item in enumerate(meant))
        return next((where for where in inside if where is not None), None)
    return None if type(read) is type(meant) and read == meant else path

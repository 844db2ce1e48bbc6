"""YAML and JSON, read back and compared with the data they were written from.

Floor 6, pure.
"""

from __future__ import annotations

import json
import marshal
from contextlib import suppress
from functools import lru_cache
from typing import Any

import yaml

from generator.errors import internal
from generator.readers.document import parse_yaml

_Loader: Any = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader
_resolver: Any = yaml.resolver.Resolver()


def same_yaml(text: str, data: Any, name: str) -> None:
    """Raise an internal error unless both dialects of YAML, 1.1 and 1.2, give back `data`.

    The two differ in what a word without quotes means, and in nothing else that is written here.
    """
    document = parse_yaml(text, name)
    _compare(document.data, data, name)
    for word, meaning in document.plain:
        if difference(_by_yaml_1_1(word), meaning) is not None:
            raise internal("not-as-meant", f"{name}: YAML 1.1 does not read {word!r} as it was meant")


@lru_cache(4096)
def _by_yaml_1_1(word: str) -> Any:
    """What PyYAML, whose dialect is 1.1, makes of a word without quotes; what it refuses is like nothing."""
    tag = _resolver.resolve(yaml.ScalarNode, word, (True, False))
    try:
        return word if tag == "tag:yaml.org,2002:str" else yaml.load(word, _Loader)
    except yaml.YAMLError:
        return ...


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

"""Generated YAML, JSON and shell text, parsed again and compared with what was meant. Floor 6, pure."""

from __future__ import annotations

import json
import marshal
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any

import yaml

from generator.errors import internal
from generator.readers.document import KeyPath, parse_yaml

Container = tuple[KeyPath, Mapping[str, Any]]
_Loader = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader
_resolver: Any = yaml.resolver.Resolver()


def same_yaml(text: str, data: object, name: str) -> None:
    """Raise an internal error unless both YAML 1.1 and 1.2 parse to `data`.

    For the output of gen-deploy, the two differ only in the meaning of unquoted words."""
    _compare(read_alike(text, name), data, name)


def read_alike(text: str, name: str) -> Any:
    """The data of a YAML document; raises an internal error where YAML 1.1 and 1.2 read a word of it differently."""
    document = parse_yaml(text, name)
    for word, meaning in document.plain:
        found = _by_yaml_1_1(word)
        if type(found) is not type(meaning) or found != meaning:
            raise internal("not-as-meant", f"{name}: YAML 1.1 does not read {word!r} as intended")
    return document.data


@lru_cache(4096)
def _by_yaml_1_1(word: str) -> object:
    """The value of an unquoted word in YAML 1.1 (PyYAML); refused words equal no value."""
    tag = _resolver.resolve(yaml.ScalarNode, word, (True, False))
    try:
        return word if tag == "tag:yaml.org,2002:str" else yaml.load(word, _Loader)
    except yaml.YAMLError:
        return ...


def same_json(text: str, data: object, name: str) -> None:
    """Raise an internal error unless the JSON text parses to `data`."""
    _compare(json.loads(text), data, name)


def same_words(block: str, expected: Sequence[str], text: str) -> None:
    """Raise an internal error unless `text` contains the shell text `block` verbatim and `block` splits into the words `expected`.

    `shlex` is a second parser, independent of bash; the tests use bash itself."""
    found = shlex.split(block)
    if found != list(expected) or block not in text:
        raise internal("not-as-meant", f"a script does not parse to the intended words: {found!r}")


def _compare(read: Any, expected: Any, name: str) -> None:
    with suppress(ValueError):  # a subclass of str
        if marshal.dumps(read, 2) == marshal.dumps(expected, 2):  # nearly always, and at once
            return
    if not same_data(read, expected):
        raise internal("not-as-meant", f"{name} does not parse to the intended data")


def same_data(read: object, expected: object) -> bool:
    """Whether two values are equal, types and order of keys included."""
    one, other = (json.dumps(value, default=repr) for value in (read, expected))
    return one == other


def below(value: object, path: KeyPath = ()) -> Iterator[Container]:
    """The mappings of some data, with their paths."""
    if isinstance(value, Mapping):
        yield path, value
    for key, inner in value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ():
        yield from below(inner, (*path, key))


def containers_of(value: object) -> Iterator[Container]:
    """The containers in a manifest, with their paths."""
    return ((path, one) for path, one in below(value) if "image" in one and any(key in one for key in ("args", "command", "env")))

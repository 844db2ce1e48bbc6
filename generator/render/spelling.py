"""Neutral settings in the spelling of one engine version: command line, config file, environment.

Floor 6, pure. A setting without a spelling is an error, never silently dropped."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from generator.errors import fail, internal
from generator.facts.engine import Engine
from generator.quantity import version_key
from generator.render.words import Word
from generator.verify.data import is_option

LAUNCH = ("model", "model_url", "mmproj_url", "hf_repo", "hf_file", "served_name", "host", "port", "api_key")
"""Settings of location and model: the code that builds the command places them."""

Entry = Mapping[str, Any]


@dataclass
class Spelled:
    """Spelled settings. `flags` are in order, None for a switch; `config` is nested as in the file."""

    flags: dict[str, list[Word] | None] = field(default_factory=dict)
    config: dict[str, object] = field(default_factory=dict)
    env: dict[str, str] = field(default_factory=dict)
    parameters: dict[str, list[str]] = field(default_factory=dict)

    def argv(self) -> list[Word]:
        """The flags as words."""
        return [word for flag, values in self.flags.items() for word in (flag, *(values or ()))]


def spell(engine: Engine, settings: Mapping[str, object]) -> Spelled:
    """The spelling of all settings except `LAUNCH`, in the order of the engine's facts (independent of row order).

    Raises an internal error for a setting without a spelling."""
    spelled = Spelled()
    order = {name: i for i, name in enumerate(engine.facts["flags"])}
    for name in sorted(settings, key=lambda name: order.get(name, -1)):
        if name not in LAUNCH and settings[name] is not None:
            put(spelled, engine, name, settings[name])
    return spelled


def entry_of(engine: Engine, name: str) -> Entry:
    """The spelling of a setting; raises an internal error if there is none."""
    entry = engine.spelling(name)
    if entry is None:
        raise internal("no-flag", f"{engine.name} {engine.version} has no spelling for {name!r}")
    return entry


def put(spelled: Spelled, engine: Engine, name: str, value: object) -> None:
    """Add one setting."""
    entry = entry_of(engine, name)
    if entry["type"] == "secret":
        raise internal("secret", f"{name!r} is a secret and must not be written")
    word = _word(engine, name, value, entry)
    if word is None:
        return
    where = entry.get("where", "argv")
    if where == "env":
        spelled.env[entry["env"]] = text_of(word)
    elif where == "modelfile":
        spelled.parameters[entry["parameter"]] = [text_of(word)]
    elif where == "config" or (where != "command" and takes_file(engine) == "all"):
        for key in (entry["key"], *(flag.lstrip("-") for flag in entry.get("also", ()))):
            nest(spelled.config, key, None if entry["type"] == "null" else word)
    else:
        for flag in (entry["flag"], *entry.get("also", ())):
            spelled.flags[flag] = None if entry["type"] == "switch" else [text_of(one) for one in (word if isinstance(word, list) else [word])]


def check_dashes(engine: Engine, words: Iterable[object]) -> None:
    """The last guard: raises an internal error for a value that an option parser would read as an option, despite quoting."""
    for word in words:
        if isinstance(word, str) and is_option(word):
            raise internal("bad-text", f"{engine.name} reads {word!r} as an option, because it begins with a dash")


def takes_file(engine: Engine) -> str:
    """Which settings go into the engine's own file: `all` possible ones, only those without a flag (`config`), or `nothing`."""
    file = engine.facts.get("config_file") or {}
    since = version_key(str(file.get("since", "0")))
    return str(file.get("holds", "all")) if file.get("format") == "yaml" and version_key(engine.version) >= since else "nothing"


def _word(engine: Engine, name: str, value: object, entry: Entry) -> object:
    """The engine's spelling of a value; None if it is expressed by omission."""
    kind = entry["type"]
    if "text" in entry:
        return entry["text"] if value else None
    if kind in ("switch", "null"):
        if not isinstance(value, bool):
            raise internal("bad-word", f"{name} of {engine.name} is on or off, not {value!r}")
        return True if value else None
    if kind == "list":
        return list(value) if isinstance(value, tuple) else [value]
    words = entry.get("values") or {}
    if value in words:
        value = words[value]
    if value is None:
        return None
    if kind == "bool":
        return {"on": True, "off": False, "auto": None}.get(value, value) if isinstance(value, str) else value
    if isinstance(value, bool):
        value = "on" if value else "off"
    if kind == "int" and not isinstance(value, int):
        raise internal("bad-word", f"{name} of {engine.name} is a whole number, not {value!r}")
    choices = entry.get("choices")
    if choices and value not in choices:
        raise fail("unknown-value", f"{engine.name} {engine.version} does not support {value!r} for {name} ({', '.join(map(str, choices))})")
    return json.dumps({entry["member"]: value}) if "member" in entry else value


def text_of(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return format(Decimal(repr(value)), "f") if isinstance(value, float) else str(value)


def nest(target: dict[str, object], key: str, value: object) -> None:
    """Set a dotted key in nested mappings."""
    *outer, last = key.split(".")
    for part in outer:
        inner = target.get(part)
        if not isinstance(inner, dict):
            inner = target[part] = {}  # overrides another form of the same key
        target = inner
    target[last] = value

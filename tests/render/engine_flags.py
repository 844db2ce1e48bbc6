"""What the engines' own parsers know, from `tests/data/engine-flags`, and a reader of command lines by it."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

DATA = Path(__file__).parents[1] / "data" / "engine-flags"

Flag = dict[str, Any]


@functools.cache
def known(engine: str) -> dict[str, Any]:
    """The file of an engine."""
    (path,) = DATA.glob(f"{engine}-*.json")
    data: dict[str, Any] = json.loads(path.read_text())
    return data


@functools.cache
def flags(engine: str) -> dict[str, Flag]:
    """Flags by each of their names."""
    return {name: flag for flag in known(engine)["flags"] for name in [*flag["names"], *flag.get("negated", ())]}


def problems(engine: str, argv: Sequence[str], positionals: int = 1) -> list[str]:
    """What the engine's parser would refuse in these arguments (the program's own words taken off)."""
    found, words = [], list(argv)
    while words:
        word = words.pop(0)
        if not word.startswith("-"):
            positionals -= 1
            if positionals < 0:
                found.append(f"{word!r} belongs to nothing")
            continue
        flag = flags(engine).get(word)
        if flag is None:
            found.append(f"there is no {word}")
            continue
        if flag["takes_value"]:
            if not words:
                found.append(f"{word} needs a value")
                continue
            found += wrong_value(word, flag, words.pop(0))
            while flag.get("nargs") in ("+", "*") and words and not words[0].startswith("-"):
                found += wrong_value(word, flag, words.pop(0))
    return found


def wrong_value(word: str, flag: Flag, value: str) -> list[str]:
    """What is wrong with a flag's value."""
    kind = flag.get("type") or ""
    choices = flag.get("choices") or (flag.get("words") if not flag.get("words_open") else None)
    if kind in ("int", "uint", "uint16") and not re.fullmatch(r"-?\d+", value):
        return [f"{word} takes a whole number, not {value!r}"]
    if kind == "float" and not re.fullmatch(r"-?\d+(\.\d+)?", value):
        return [f"{word} takes a number, not {value!r}"]
    if choices and not (value in map(str, choices) or (kind == "string" and value.lstrip("-").isdigit())):
        return [f"{word} knows no {value!r}"]
    return []


def config_argv(config: dict[str, Any]) -> list[str]:
    """A YAML file as vLLM and SGLang read it: each key a flag; true a switch, a list several words, false nothing."""
    argv: list[str] = []
    for key, value in config.items():
        if value is True:
            argv.append(f"--{key}")
        elif isinstance(value, list):
            argv += [f"--{key}", *map(str, value)]
        elif value is not False:
            argv += [f"--{key}", str(value)]
    return argv


def config_problems(config: dict[str, Any], keys: dict[str, Any] | None = None, path: str = "") -> list[str]:
    """Keys of a TensorRT-LLM file that its older and its newer classes do not both have, or of a wrong type."""
    yaml = known("tensorrt-llm")["yaml"]
    keys = yaml["top"] if keys is None else keys
    found: list[str] = []
    for key, value in config.items():
        entry = keys.get(key)
        if entry is None or entry["seen"] != "AB":
            found.append(f"there is no key {path}{key}")
            continue
        kind = entry["type"].rstrip("?").split("[")[0].rstrip(">")
        if isinstance(value, dict):
            fields = yaml["classes"][kind]
            if "variants" in fields:  # told apart by a key; without it any of them counts
                variants = fields["variants"]
                fields = variants.get(value.get(fields["discriminator"])) or {name: one for each in variants.values() for name, one in each.items()}
            found += config_problems(value, fields, f"{path}{key}.")
        elif value is None:
            found += [] if entry["type"].endswith("?") else [f"{path}{key} cannot be null"]
        elif {"int": int, "float": float, "bool": bool, "str": str}.get(kind, type(value)) is not type(value):
            found.append(f"{path}{key} is {entry['type']}, not {value!r}")
    return found

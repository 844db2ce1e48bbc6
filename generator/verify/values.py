"""Checks of an option's value: its type, and its allowed words if known. Floor 6, pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from generator.errors import InputError, did_you_mean
from generator.readers.json_text import parse
from generator.verify.catalogue import Option

_INT = re.compile(r"-?\d+\Z")
_FLOAT = re.compile(r"-?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?\Z")
_SIZE = re.compile(r"(-1|\d+|\d+(\.\d+)?[kKmMgGtT]i?)\Z")
_DURATION = re.compile(r"-?(\d+|(\d+(\.\d+)?(ns|us|µs|ms|s|m|h))+)\Z")
_GO_BOOL = ("1", "t", "T", "TRUE", "true", "True", "0", "f", "F", "FALSE", "false", "False")

_UNITS = {"k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12, "K": 2.0**10, "M": 2.0**20, "G": 2.0**30, "T": 2.0**40}

SHAPES = {
    "int": (_INT, "a whole number"),
    "uint": (re.compile(r"\d+\Z"), "a whole number of at least 0"),
    "float": (_FLOAT, "a number"),
    "size": (_SIZE, "a whole number, optionally with k, m or g"),
    "size_or_auto": (re.compile(rf"auto\Z|{_SIZE.pattern}"), "a whole number, optionally with k, m or g, or auto"),
    "duration": (_DURATION, "a duration such as 5m, or seconds"),
}


def wrong_text(option: Option, text: str) -> tuple[str, str] | None:
    """Code and message for a wrong value, None for a valid one."""
    kind = option.kind
    if kind in SHAPES and not SHAPES[kind][0].match(text):
        return "wrong-type", f"{SHAPES[kind][1]}, not {text!r}"
    if kind == "bool" and text not in _GO_BOOL:
        return "wrong-type", f"true or false, not {text!r}"
    if (kind == "json" or (kind == "json_or_string" and text.lstrip().startswith("{"))) and not _is_json(text):
        return "wrong-type", f"JSON, not {text!r}"
    if option.limits and (limits := _outside(option.limits, text)):
        return "out-of-range", f"a number {limits}, not {text}"
    if option.words and text not in option.old_words and not _is_word(option, text):
        return "wrong-choice", f"{_shown(option.words)}, not {text!r}{did_you_mean(text, option.words)}"
    return None


def wrong_value(option: Option, value: object) -> tuple[str, str] | None:
    """Code and message for a wrong value in a YAML file, where a switch is true or false."""
    if option.kind == "switch":
        return None if isinstance(value, bool) else ("wrong-type", f"true or false, not {value!r}")
    if isinstance(value, dict):
        return None if option.kind in ("json", "json_or_string") else ("wrong-type", "a value, not a mapping")
    if isinstance(value, list):
        if option.nargs is None:
            return None if option.kind.startswith("json") else ("wrong-type", "one value, not a list")
        wrong = (wrong_value(replace(option, nargs=None), item) for item in value)
        return next((what for what in wrong if what), None)
    if option.kind.startswith("json"):
        return wrong_text(option, value) if isinstance(value, str) else None
    if isinstance(value, bool):
        return None if option.kind == "bool" else ("wrong-type", f"a value, not {str(value).lower()}")
    if value is None:
        return "wrong-type", "a value, not null"
    return wrong_text(option, str(value))


def number(text: str) -> float | None:
    """A number as the engines write them: 16k is 16,000, 16K is 16,384; None for a text that is none."""
    unit = _UNITS.get(text[-1:], 1)
    try:
        return unit * float(text if unit == 1 else text[:-1])
    except ValueError:
        return None


def _outside(limits: Mapping[str, float], text: str) -> str | None:
    """The limits of an option, if a number breaks them."""
    value = number(text)
    inside = value is None or (limits.get("least", value) <= value <= limits.get("most", value) and value > limits.get("above", value - 1))
    if inside or value == limits.get("or"):
        return None
    shown = {"least": "of at least", "most": "of at most"}
    return " and ".join(f"{shown.get(word, word)} {limit:g}" for word, limit in limits.items()).replace(" and or", ", or")


def _is_word(option: Option, text: str) -> bool:
    assert option.words is not None
    return text in option.words or (option.numbers and bool(_INT.match(text)))


def _is_json(text: str) -> bool:
    try:
        parse(text, "", strict=False)
    except InputError:
        return False
    return True


def _shown(words: tuple[str, ...]) -> str:
    return f"one of {', '.join(words)}" if len(words) <= 12 else f"one of {', '.join(words[:12])}, … ({len(words)} words)"


def old_word(option: Option, value: object) -> str | None:
    """The replacement of a deprecated value, None for other values."""
    return option.old_words.get(value) if isinstance(value, str) else None

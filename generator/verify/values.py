"""Checks of an option's value: its type, and its allowed words if known. Floor 6, pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from generator.errors import InputError, did_you_mean
from generator.readers.json_text import parse
from generator.readers.resources import shipped
from generator.verify.catalogue import Option

_KNOWN = shipped("commands.json")["values"]
_FORMS = {kind: (re.compile(said["pattern"]), said["form"]) for kind, said in _KNOWN["forms"].items()}


def wrong_text(option: Option, text: str) -> tuple[str, str] | None:
    """Code and message for a wrong value, None for a valid one."""
    kind = option.kind
    if kind in _FORMS and not _FORMS[kind][0].fullmatch(text):
        return "wrong-type", f"{_FORMS[kind][1]}, not {text!r}"
    if kind == "json" or (kind == "json_or_string" and text.lstrip().startswith("{")):
        try:
            parse(text, "", strict=False)
        except InputError:
            return "wrong-type", f"JSON, not {text!r}"
    if option.limits and (limits := _outside(option.limits, text)):
        return "out-of-range", f"a number {limits}, not {text}"
    is_word = option.numbers and _FORMS["int"][0].fullmatch(text)
    if option.words and text not in (*option.words, *option.old_words) and not is_word:
        shown = ", ".join((*option.words[:12], *([f"… ({len(option.words)} words)"] if len(option.words) > 12 else ())))
        return "wrong-choice", f"one of {shown}, not {text!r}{did_you_mean(text, option.words)}"
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
    unit: float = _KNOWN["units"].get(text[-1:], 1)
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


def old_word(option: Option, value: object) -> str | None:
    """The replacement of a deprecated value, None for other values."""
    return option.old_words.get(value) if isinstance(value, str) else None

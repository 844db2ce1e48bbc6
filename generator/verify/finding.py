"""A word of a launch file, and whether it is an option. Floor 6, pure."""

from __future__ import annotations

import re
from typing import NamedTuple

from generator.errors import Place

_OPTION = re.compile(r"-(?!\.?[0-9])(?s:.)")


def is_option(word: str) -> bool:
    """Whether an option parser reads a word as an option: a dash with more after it than a number (`-`, `-1` and `-.5` are values)."""
    return _OPTION.match(word) is not None


class Text(NamedTuple):
    """A word of a launch file with its place; `known` is false if a variable determines it."""

    text: str
    place: Place
    known: bool = True

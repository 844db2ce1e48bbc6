"""A problem of a launch file: code, message, place, and replacement. Floor 6, pure."""

from __future__ import annotations

import re
from typing import NamedTuple

from generator.errors import Place, Problem

_OPTION = re.compile(r"-(?!\.?[0-9])(?s:.)")


def is_option(word: str) -> bool:
    """Whether an option parser reads a word as an option: a dash with more after it than a number (`-`, `-1` and `-.5` are values)."""
    return _OPTION.match(word) is not None


class Text(NamedTuple):
    """A word of a launch file with its place; `known` is false if a variable determines it."""

    text: str
    place: Place
    known: bool = True


class Finding(NamedTuple):
    """One finding; `use` is the replacement, if known. The place is perhaps not known where it is found."""

    code: str
    message: str
    place: Place = Place("")
    severity: str = "error"
    use: str | None = None

    @property
    def problem(self) -> Problem:
        """The finding as a printable problem."""
        return Problem(self.code, self.message, self.place, self.severity)

    def as_json(self) -> dict[str, object]:
        """The finding for `--json`."""
        path, line, column = self.place
        return {
            "code": self.code, "severity": self.severity, "message": self.message,
            "file": path, "line": line, "column": column, "use": self.use,
        }  # fmt: skip

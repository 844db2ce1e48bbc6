"""A problem of a launch file: code, message, place, and replacement.

Floor 6, pure.
"""

from __future__ import annotations

from typing import NamedTuple

from generator.errors import Place, Problem


class Text(NamedTuple):
    """A word of a launch file with its place; `known` is false if a variable determines it."""

    text: str
    place: Place
    known: bool = True


class Finding(NamedTuple):
    """One finding; `use` is the replacement, if known."""

    code: str
    message: str
    place: Place
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

"""What is wrong with a launch file: a code, words, a place, and what to write instead.

Floor 6, pure.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from generator.errors import Place, Problem


class Text(NamedTuple):
    """A word of a launch file and where it stands; `known` is false where a variable decides what it is."""

    text: str
    place: Place
    known: bool = True


class Finding(NamedTuple):
    """One finding; `use` is what does the work now, where that is known."""

    code: str
    message: str
    place: Place
    severity: str = "error"
    use: str | None = None

    @property
    def problem(self) -> Problem:
        """The finding as it is printed."""
        return Problem(self.code, self.message, self.place, self.severity)

    def as_json(self) -> dict[str, Any]:
        """The finding for `--json`."""
        path, line, column = self.place
        return {
            "code": self.code, "severity": self.severity, "message": self.message,
            "file": path, "line": line, "column": column, "use": self.use,
        }  # fmt: skip

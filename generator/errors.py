"""The root of all errors: a problem has a code, a message and, if known, a place in a file. Floor 0: imports nothing of the project."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

DONE = 0
BAD_INPUT = 1
USAGE = 2
DIFFERENCES = 3
NOTHING_FITS = 4
CANNOT_WRITE = 5


class Place(NamedTuple):
    """A position in a file, as editors count: line and column start at 1."""

    path: str
    line: int = 1
    column: int = 1

    def __str__(self) -> str:
        return f"{self.path}:{self.line}:{self.column}"


class Problem(NamedTuple):
    """One problem, printed as `file:line:column: error[code]: message`; `use` is what to write instead, where that is known."""

    code: str
    message: str
    place: Place | None = None
    severity: str = "error"
    use: str | None = None

    def __str__(self) -> str:
        where = f"{self.place}: " if self.place and self.place.path else ""
        return one_line(f"{where}{self.severity}[{self.code}]: {self.message}")

    def as_json(self) -> dict[str, object]:
        """The problem for `--json`."""
        path, line, column = self.place or Place("")
        said = {"code": self.code, "severity": self.severity, "message": self.message}
        return {**said, "file": path, "line": line, "column": column, "use": self.use}


MOST_IN_FILE = 20
"""Printed problems of one kind per file; the rest appear at the next run, once these are fixed."""
MOST_OF_KIND = 100
"""The same in all files together."""


class Cap:
    """Limits printed problems: the first of each kind, then a count of the rest."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, ...], int] = {}
        self._more: dict[tuple[str, str, str | None], int] = {}

    def passes(self, problem: Problem) -> bool:
        """Whether a problem is printed; the others are counted."""
        kind, path = (problem.code, problem.severity), problem.place.path if problem.place else ""
        for key, most in (((*kind, path), MOST_IN_FILE), (kind, MOST_OF_KIND)):
            if self._seen.get(key, 0) >= most:
                more = (*kind, path if most == MOST_IN_FILE else None)
                self._more[more] = self._more.get(more, 0) + 1
                return False
        for key in ((*kind, path), kind):
            self._seen[key] = self._seen.get(key, 0) + 1
        return True

    def rest(self) -> list[Problem]:
        """For each truncated kind, one problem with the number left out."""
        found, self._more = self._more, {}
        return [
            Problem(code, f"{count} more of this kind {'in this file' if path else 'in other files'}", Place(path) if path else None, severity)
            for (code, severity, path), count in found.items()
        ]


def capped(problems: Iterable[Problem]) -> list[Problem]:
    """Problems as printed: the first of each kind, then a count of the rest."""
    cap = Cap()
    return [*(problem for problem in problems if cap.passes(problem)), *cap.rest()]


class GenDeployError(Exception):
    """Root of every error that a user may see; `exit_code` is what the command returns."""

    exit_code = BAD_INPUT

    def __init__(self, problems: Problem | Iterable[Problem]) -> None:
        self.problems: tuple[Problem, ...] = ((problems,) if isinstance(problems, Problem) else tuple(problems))
        super().__init__("\n".join(map(str, self.problems)))


class InputError(GenDeployError):
    """The spec, a rule set, a model config or a pin is wrong (exit 1)."""


class UsageError(GenDeployError):
    """The command line is wrong (exit 2)."""

    exit_code = USAGE


class NothingFits(GenDeployError):
    """Nothing can be deployed (exit 4); without problems, the reasons are already printed."""

    exit_code = NOTHING_FITS


class WriteError(GenDeployError):
    """Files could not be written: permission, full disk, locked, edited by hand (exit 5)."""

    exit_code = CANNOT_WRITE


def fail(code: str, message: str, place: Place | None = None) -> InputError:
    """An `InputError` of one problem, ready to raise."""
    return InputError(Problem(code, message, place))


def internal(code: str, message: str) -> GenDeployError:
    """An error of gen-deploy itself, not of the user, ready to raise."""
    return GenDeployError(Problem(code, f"{message} (this is a bug in gen-deploy: please report it)"))


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`"; did you mean 'X'?"` if a known word is similar, else an empty string."""
    candidates: Sequence[str] = list(known)
    folded = {fold(k): k for k in candidates}
    if fold(word) in folded:
        return f"; did you mean {folded[fold(word)]!r}?"
    from difflib import get_close_matches  # imported lazily: only errors need it

    near = get_close_matches(fold(word), list(folded), n=1, cutoff=0.6)
    return f"; did you mean {folded[near[0]]!r}?" if near else ""


def fold(word: str) -> str:
    """A name for comparison: case, spaces, dashes and underscores are ignored."""
    return word.lower().replace(" ", "").replace("-", "").replace("_", "")


def one_line(text: str) -> str:
    """Text on one line: a name with a line break could start a new line, which some log readers interpret as a command."""
    return printable(text).replace("\n", "\\n")


def printable(text: str) -> str:
    """Text that cannot move a terminal's cursor: control and direction characters are shown escaped."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text)

"""`requires` of the project file: the versions of gen-deploy that may work on a project, as a list such as `>=0.4,<0.5`. Floor 2, pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from operator import eq, ge, gt, le, lt, ne
from typing import Any

from generator import __version__
from generator.errors import Problem
from generator.readers.document import Document

KEY = CODE = "requires"
COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {">=": ge, "<=": le, "==": eq, "!=": ne, ">": gt, "<": lt}
MOST_CLAUSES = 10
_CLAUSE = re.compile(r"(>=|<=|>|<|~=(?=[^.]*\.)) *([0-9]{1,6}(?:\.[0-9]{1,6}){0,3})|(==|!=) *([0-9]{1,6}(?:\.[0-9]{1,6}){0,3}(?:\.\*)?)")


def problems(document: Document, installed: str = __version__) -> list[Problem]:
    """The problem of a project file that requires another version than the installed one, or says so in an unknown form; else none."""
    if KEY not in document.data:
        return []
    written, place = document.data[KEY], document.place((KEY,))
    if not isinstance(written, str):
        return [Problem("wrong-type", f'requires: versions are expected, in quotes: ">=0.4,<0.5", not {written!r}', place)]
    clauses = [_CLAUSE.fullmatch(part.strip()) for part in written.split(",")[: MOST_CLAUSES + 1]]
    if len(clauses) > MOST_CLAUSES or not all(clauses):
        message = f'requires: {written[:100]!r} is not a list of versions such as ">=0.4,<0.5" (>=, <=, >, <, ==, != and ~=; at most {MOST_CLAUSES})'
        return [Problem("bad-value", message, place)]
    if all(_holds(clause[1] or clause[3], clause[2] or clause[4], installed) for clause in clauses if clause):
        return []
    message = f"this project requires gen-deploy {written}, but {installed} is installed: no file was touched"
    return [Problem(CODE, f"{message}; install one that it allows (`pip install 'gen-deploy{written}'`), or change `requires`", place)]


def _holds(comparison: str, version: str, installed: str) -> bool:
    """Whether the installed version satisfies one clause; `~=0.4.2` is `>=0.4.2,==0.4.*`, and a pre-release of 0.5 is not below 0.5."""
    has, final = _release(installed)
    if comparison == "~=":
        return _holds(">=", version, installed) and _holds("==", f"{version.rpartition('.')[0]}.*", installed)
    if version.endswith(".*"):
        series = [int(part) for part in version.removesuffix(".*").split(".")]
        return COMPARISONS[comparison](list(has[: len(series)]), series)
    wanted, _ = _release(version)
    return COMPARISONS[comparison]((has, final or comparison == "<"), (wanted, True))


def _release(version: str) -> tuple[tuple[int, ...], bool]:
    """The numbers of a version, and whether it is no pre-release (`0.5.0rc1`, `0.5.0.dev3`)."""
    numbers = re.match(r"[0-9]+(?:\.[0-9]+)*", version)
    found = numbers[0] if numbers else "0"
    parts = [int(part) for part in found.split(".")]
    return tuple(parts + [0] * (4 - len(parts))), re.match(r"\.?(a|b|rc|dev)", version[len(found) :]) is None

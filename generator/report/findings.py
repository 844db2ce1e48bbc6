"""Findings as text, JSON, and GitHub workflow annotations. Floor 7, pure."""

from __future__ import annotations

import json
from collections.abc import Sequence

from generator.errors import Place, Problem, capped, printable

SCHEMA_VERSION = 1
FORMATS = ("text", "json", "github")
LEVELS = {"error": "error", "warning": "warning", "note": "notice"}


def as_format(found: Sequence[Problem], kind: str, verbose: bool = False) -> str:
    """Findings in one of `FORMATS`, capped per kind. Text hides notes unless `verbose`, and counts them."""
    return _text(found, verbose) if kind == "text" else {"json": _json, "github": _github}[kind](found)


def counted(found: Sequence[Problem]) -> dict[str, int]:
    """The number of findings of each severity."""
    return {severity: sum(p.severity == severity for p in found) for severity in LEVELS}


def _text(found: Sequence[Problem], verbose: bool) -> str:
    counts = counted(found)
    lines = [str(problem) for problem in capped(p for p in found if verbose or p.severity != "note")]
    summary = ", ".join(f"{counts[s]} {s}{'' if counts[s] == 1 else 's'}" for s in LEVELS)
    hidden = " (-v shows the notes)" if counts["note"] and not verbose else ""
    return "\n".join([*lines, summary + hidden])


def _place(problem: Problem) -> Place:
    return problem.place or Place("rules")


def _json(found: Sequence[Problem]) -> str:
    rows = [problem._replace(place=_place(problem)).as_json() for problem in capped(found)]
    return json.dumps({"schema_version": SCHEMA_VERSION, "findings": rows, "counts": counted(found)}, indent=2, ensure_ascii=False)


def _github(found: Sequence[Problem]) -> str:
    lines = []
    for problem in capped(found):
        place = _place(problem)
        where = {"file": place.path, "line": str(place.line), "col": str(place.column), "title": problem.code}
        lines.append(command(LEVELS[problem.severity], problem.message, **where))
    return "\n".join(lines)


def command(kind: str, message: str, **properties: str) -> str:
    """A workflow command of GitHub Actions: `%`, line ends and, in properties, `:` and `,` are escaped, so that no value starts another one."""
    told = ",".join(f"{key}={_property(value)}" for key, value in properties.items())
    return f"::{kind} {told}::{_data(message)}"


def _data(text: str) -> str:
    return printable(text).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")

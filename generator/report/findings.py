"""Findings as text, JSON, GitHub workflow annotations, and SARIF. Floor 7, pure."""

from __future__ import annotations

import json
from collections.abc import Sequence

from generator.errors import Place, Problem, capped, printable

FORMATS = ("text", "json", "github", "sarif")
LEVELS = {"error": "error", "warning": "warning", "note": "notice"}
SARIF = "https://json.schemastore.org/sarif-2.1.0.json"


def as_format(found: Sequence[Problem], kind: str, verbose: bool = False) -> str:
    """Findings in one of `FORMATS`, capped per kind. Text hides notes unless `verbose`, and counts them."""
    return {
        "text": lambda: _text(found, verbose),
        "json": lambda: _json(found),
        "github": lambda: _github(found),
        "sarif": lambda: _sarif(found),
    }[kind]()


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
    rows = [
        {
            "file": _place(p).path,
            "line": _place(p).line,
            "column": _place(p).column,
            "code": p.code,
            "severity": p.severity,
            "message": p.message,
        }
        for p in capped(found)
    ]
    return json.dumps({"findings": rows, "counts": counted(found)}, indent=2, ensure_ascii=False)


def _github(found: Sequence[Problem]) -> str:
    """Workflow commands, which GitHub shows next to the lines of a pull request."""
    lines = []
    for problem in capped(found):
        place = _place(problem)
        where = f"file={_property(place.path)},line={place.line},col={place.column},title={_property(problem.code)}"
        lines.append(f"::{LEVELS[problem.severity]} {where}::{_data(problem.message)}")
    return "\n".join(lines)


def _data(text: str) -> str:
    return printable(text).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def _sarif(found: Sequence[Problem]) -> str:
    codes = sorted({p.code for p in found})
    results = [
        {
            "ruleId": problem.code,
            "ruleIndex": codes.index(problem.code),
            "level": problem.severity,
            "message": {"text": problem.message},
            "locations": [_location(_place(problem))],
        }
        for problem in capped(found)
    ]
    driver = {"name": "gen-deploy lint", "rules": [{"id": code} for code in codes]}
    return json.dumps(
        {"$schema": SARIF, "version": "2.1.0", "runs": [{"tool": {"driver": driver}, "results": results}]}, indent=2, ensure_ascii=False
    )


def _location(place: Place) -> dict[str, object]:
    region = {"startLine": place.line, "startColumn": place.column}
    return {"physicalLocation": {"artifactLocation": {"uri": place.path}, "region": region}}

"""Findings as text, JSON, GitHub workflow annotations, and SARIF. Floor 7, pure."""

from __future__ import annotations

import json
from collections.abc import Sequence

from generator.errors import Place, Problem, capped
from generator.report.workflow import command

SCHEMA_VERSION = 1
FORMATS = ("text", "json", "github", "sarif")
LEVELS = {"error": "error", "warning": "warning", "note": "notice"}
SARIF = "https://json.schemastore.org/sarif-2.1.0.json"


def as_format(found: Sequence[Problem], kind: str, verbose: bool = False) -> str:
    """Findings in one of `FORMATS`, capped per kind. Text hides notes unless `verbose`, and counts them."""
    return _text(found, verbose) if kind == "text" else {"json": _json, "github": _github, "sarif": _sarif}[kind](found)


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
    rows = [{**_place(p)._asdict(), "code": p.code, "severity": p.severity, "message": p.message} for p in capped(found)]
    for row in rows:
        row["file"] = row.pop("path")
    return json.dumps({"schema_version": SCHEMA_VERSION, "findings": rows, "counts": counted(found)}, indent=2, ensure_ascii=False)


def _github(found: Sequence[Problem]) -> str:
    """Workflow commands, which GitHub shows next to the lines of a pull request."""
    lines = []
    for problem in capped(found):
        place = _place(problem)
        where = {"file": place.path, "line": str(place.line), "col": str(place.column), "title": problem.code}
        lines.append(command(LEVELS[problem.severity], problem.message, **where))
    return "\n".join(lines)


def _sarif(found: Sequence[Problem]) -> str:
    codes = sorted({p.code for p in found})
    results = [
        {"ruleId": p.code, "ruleIndex": codes.index(p.code), "level": p.severity, "message": {"text": p.message}, "locations": [_location(_place(p))]}
        for p in capped(found)
    ]
    driver = {"name": "gen-deploy lint", "rules": [{"id": code} for code in codes]}
    runs = [{"tool": {"driver": driver}, "results": results}]
    return json.dumps({"$schema": SARIF, "version": "2.1.0", "runs": runs}, indent=2, ensure_ascii=False)


def _location(place: Place) -> dict[str, object]:
    region = {"startLine": place.line, "startColumn": place.column}
    return {"physicalLocation": {"artifactLocation": {"uri": place.path}, "region": region}}

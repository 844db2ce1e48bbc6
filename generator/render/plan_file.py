"""`plan.json`: the plan for a repository, independent of the positions of rows. Floor 6, pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from generator.plan import Plan
from generator.render.artifact import Artifact
from generator.render.plan_json import as_json
from generator.render.yaml_text import SCALARS, json_text
from generator.verify.data import same_json

RUNNERS_UP = 8
"""Alternatives that the files keep: the best of each engine come first. `plan --json` prints all."""


def kept(plan: Plan) -> dict[str, Any]:
    """The object of `plan --json` with few runners-up, `rejected` reduced to counts per row, and without row positions."""
    data = as_json(replace(plan, alternatives=plan.alternatives[:RUNNERS_UP]), rejected=False)
    counts = Counter(row for rejection in plan.rejected for row in {reason.row for reason in rejection.reasons})
    data["rejected"] = dict(sorted(counts.items()))
    data["warnings"] = sorted(data["warnings"], key=lambda warning: str(warning["id"]))
    for words in (data["choice"], *data["alternatives"]):
        if words:
            words["settings"] = dict(sorted(words["settings"].items()))
    steps = list(dict.fromkeys(entry["step"] for entry in data["trace"]))
    # only the order of preferences is part of a decision
    data["trace"] = sorted(data["trace"], key=lambda e: (steps.index(e["step"]), "" if e["step"] == "prefer" else str(e["row"])))
    for entry in (*data["warnings"], *data["trace"]):
        del entry["at"]  # a row's position is not part of the decision
    return {key: plain(part) for key, part in data.items()}


def plain(value: object) -> object:
    """Data as JSON types: lists for tuples and (sorted) for sets."""
    if isinstance(value, dict):
        if SCALARS.issuperset(map(type, value.values())):
            return value
        return {key: item if type(item) in SCALARS else plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [item if type(item) in SCALARS else plain(item) for item in value]
    if isinstance(value, frozenset | set):
        return sorted(value)
    return value


LEFT_OUT = ("alternatives", "trace", "memory_terms")
"""What only `plan --json` prints: a file in a repository changes where a decision does, not where a reason is put in other words."""


def written(data: Mapping[str, Any]) -> dict[str, Any]:
    """The `kept` data as the file has it: without runners-up, trace and formulas, and of rules only their names."""
    found = {key: part for key, part in data.items() if key not in LEFT_OUT}
    warnings = [{"id": warning["id"], "source": warning["source"]} for warning in data["warnings"]]
    return {**found, "rules": {"name": data["rules"]["name"]}, "warnings": warnings}


def plan_json(data: dict[str, object]) -> Artifact:
    """The file of the `kept` data, verified by parsing it again."""
    found = written(data)
    text = json_text(found)
    same_json(text, found, "plan.json")
    return Artifact("plan.json", text)

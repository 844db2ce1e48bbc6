"""A comparison as JSON. Floor 7, pure."""

from __future__ import annotations

import json
from dataclasses import fields, is_dataclass
from typing import Any

from generator.compare.groups import groups
from generator.compare.model import Comparison
from generator.report import diff_words as words

SCHEMA_VERSION = 1


def data_of(result: Comparison, unit: str = "spec") -> dict[str, Any]:
    """A comparison as plain data."""
    data: dict[str, Any] = {"schema_version": SCHEMA_VERSION, "verdict": words.verdict(result, unit), **_plain(result)}
    data |= {"changed": len({change.spec for change in result.decisive}), "edits_traced": data.pop("traced")}
    data["groups"] = [
        {"edits": list(one.changes[0].edits), "cause": words.cause_of(one, result), "specs": [change.name for change in one.changes]}
        for one in groups(result.decisive)
    ]
    covered = {one["edit"]: one for one in data.pop("coverage")}
    data["changes"] = [{**_plain(change), "decisive": change.decisive} for change in result.changes]
    data["edits"] = [{**_plain(e), "id": e.id, "changes": result.affected(e), "coverage": covered.get(e.id)} for e in result.edits]
    data["grid"] = data_of(result.grid, words.GRID) if result.grid else None
    return data


def _plain(thing: Any) -> Any:
    """Data classes and named tuples as mappings by field."""
    if is_dataclass(thing):
        return {field.name: _plain(getattr(thing, field.name)) for field in fields(thing)}
    if hasattr(thing, "_asdict"):
        return {name: _plain(value) for name, value in thing._asdict().items()}
    return [_plain(one) for one in thing] if isinstance(thing, list | tuple) else thing


def as_json(result: Comparison) -> str:
    """A comparison as JSON text."""
    return json.dumps(data_of(result), indent=2, ensure_ascii=False, default=str)

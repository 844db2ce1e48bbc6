"""A comparison as JSON. Floor 7, pure."""

from __future__ import annotations

import json
from dataclasses import asdict

from generator.compare.model import Comparison
from generator.report import diff_words as words

SCHEMA_VERSION = 1


def data_of(result: Comparison) -> dict[str, object]:
    """A comparison as plain data."""
    return {
        "schema_version": SCHEMA_VERSION,
        "verdict": words.verdict(result),
        "old": asdict(result.old),
        "new": asdict(result.new),
        "specs": result.specs,
        "changed": len({change.spec for change in result.decisive}),
        "changes": [
            {
                "name": c.name,
                "spec": c.spec,
                "level": c.level,
                "decisive": c.decisive,
                "by": c.by,
                "old": c.old,
                "new": c.new,
                "problem": c.problem,
                "moves": [m._asdict() for m in c.moves],
                "causes": [
                    {"table": w.table, "row": w.row, "did": w.did, "what": w.what, "because": w.because, "at": w.at,
                     "read": [m._asdict() for m in w.read]}
                    for w in c.causes
                ],
                "edits": list(c.edits),
                "files": [f._asdict() for f in c.files],
            }
            for c in result.changes
        ],
        "edits": [
            {
                "id": e.id,
                "section": e.section,
                "name": e.name,
                "action": e.action,
                "decisive": e.decisive,
                "fields": [m._asdict() for m in e.fields],
                "unit": e.unit,
                "source": e.source,
                "checked": e.checked,
                "at": e.at,
                "changes": result.affected(e),
            }
            for e in result.edits
        ],
        "edits_traced": result.traced,
        "added": list(result.added),
        "removed": list(result.removed),
        "unplanned": result.unplanned,
    }  # fmt: skip


def as_json(result: Comparison) -> str:
    """A comparison as JSON text."""
    return json.dumps(data_of(result), indent=2, ensure_ascii=False, default=str)

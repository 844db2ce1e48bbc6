"""Replacements across layers: without `replaces`, or of an entry that has changed since. Floor 1, pure."""

from __future__ import annotations

from collections.abc import Iterator

from generator.errors import Place, Problem
from generator.readers.document import Document
from generator.rulebook.overlay import Gathered


def layer_findings(gathered: Gathered) -> Iterator[Problem]:
    """Replacements of rows and thresholds in the topmost layer with a missing or outdated `replaces`."""
    tables = gathered.merged["tables"]
    for (section, name), steps in gathered.steps.items():
        step = steps[-1]
        if step.place.path not in gathered.own or step.action not in ("replaced", "changed") or step.below is None:
            continue
        below = steps[-2]
        what = f"row {name!r}" if section in tables else f"{section.rstrip('s')} {name!r}"
        if step.claimed is None:
            if step.action == "replaced":
                message = f"{what} replaces {below.place}; add `replaces: {step.below}`, so that lint reports an upgrade that changes it"
                yield Problem("replaces-missing", message, step.place, "warning")
        elif str(step.claimed) != step.below:
            place = _claim(gathered.documents[step.place.path], section, name) or step.place
            message = f"the entry replaced by {what} has changed since ({below.place}): review it, then set `replaces: {step.below}`"
            yield Problem("replaced-changed", message, place, "warning")


def _claim(document: Document, section: str, name: str) -> Place | None:
    data = document.data
    if "rows" in data:
        i = next((i for i, row in enumerate(data["rows"]) if row.get("id") == name), None)
        return None if i is None else document.place(("rows", i, "replaces"))
    return document.place((section, name, "replaces"))

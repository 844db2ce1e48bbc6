"""The topmost layer over those below it: replacements without a right `replaces`, and entries added that nothing reads.

Floor 1, pure. What the code reads of the shipped rules, a test compares (`tests/lint/test_unused.py`)."""

from __future__ import annotations

from collections.abc import Iterator

from generator.errors import Problem
from generator.rulebook.overlay import Gathered
from generator.rulebook.rules_check import cited, words_of
from generator.rulebook.table import names_read

UNUSED = {
    "thresholds": ("warning", "neither rows nor code read the threshold"),
    "sources": ("warning", "nothing refers to the source"),
    "names": ("note", "no row reads the name"),
}
LOWER_LAYERS = 3
"""Those below a set which extends another: physics, shared facts, at least one set."""


def layer_findings(gathered: Gathered) -> Iterator[Problem]:
    """Replacements with a missing or outdated `replaces`; entries without effect (names are notes: future rules may read them)."""
    tables, own, read = gathered.merged["tables"], gathered.own, words_read(gathered)
    for (section, name), steps in gathered.steps.items():
        step = steps[-1]
        if step.place.path not in own or step.action == "off":
            continue
        if section in UNUSED and name not in read and len(gathered.layers) > LOWER_LAYERS and all(one.place.path in own for one in steps):
            severity, message = UNUSED[section]
            yield Problem(f"unused-{section[:-1]}", f"{message} {name!r}", step.place, severity)
        if step.below is None or (step.claimed is None and step.action != "replaced"):
            continue
        below = steps[-2]
        what = f"row {name!r}" if section in tables else f"{section.rstrip('s')} {name!r}"
        if step.claimed is None:
            message = f"{what} replaces {below.place}; add `replaces: {step.below}`, so that lint reports an upgrade that changes it"
            yield Problem("replaces-missing", message, step.place, "warning")
        elif str(step.claimed) != step.below:
            row = next((row for row in tables[section]["rows"] if row["id"] == name), None) if section in tables else None
            place = gathered.in_row(row, "replaces") if row else gathered.documents[step.place.path].place((section, name, "replaces"))
            message = f"the entry replaced by {what} has changed since ({below.place}): review it, then set `replaces: {step.below}`"
            yield Problem("replaced-changed", message, place, "warning")


def words_read(gathered: Gathered) -> set[object]:
    """The names, thresholds, settings and sources that rows and facts read or cite."""
    data = [document.data for document in gathered.documents.values()]
    rows = [row for one in data if "table" in one for row in one.get("rows") or ()]
    found: set[object] = {word for row in rows for word in (*words_of(row), *names_read(row))}
    found |= {word for entry in gathered.merged["architectures"].values() for word in (entry.get("speed") or {}).values()}
    trained = [part for job in gathered.merged["training_jobs"].values() for part in (job, *job["methods"].values())]
    found |= {word for part in trained for section in part.get("numbers", {}).values() for word in section.values()}
    return found | {word for one in data for _, word in cited(one)}

"""Thresholds, sources and labels that a rule set adds to the one it extends, and that nothing reads.

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
OWN_LAYER = 3
"""The layers below that of a set which extends another: physics, shared facts, at least one set."""


def words_read(gathered: Gathered) -> set[object]:
    """The names, thresholds, settings and sources that rows and facts read or cite."""
    data = [document.data for document in gathered.documents.values()]
    rows = [row for one in data if "table" in one for row in one.get("rows") or ()]
    found: set[object] = {word for row in rows for word in (*words_of(row), *names_read(row))}
    found |= {word for entry in gathered.merged["architectures"].values() for word in (entry.get("speed") or {}).values()}
    trained = [part for job in gathered.merged["training_jobs"].values() for part in (job, *job["methods"].values())]
    found |= {word for part in trained for section in part.get("numbers", {}).values() for word in section.values()}
    return found | {word for one in data for _, word in cited(one)}


def unused_findings(gathered: Gathered) -> Iterator[Problem]:
    """Entries of the topmost layer alone that could be removed without effect; names are notes: future rules may read them."""
    if len(gathered.layers) <= OWN_LAYER:
        return
    read, own = words_read(gathered), gathered.own
    for (section, name), steps in gathered.steps.items():
        if section in UNUSED and name not in read and steps[-1].action != "off" and all(step.place.path in own for step in steps):
            severity, message = UNUSED[section]
            yield Problem(f"unused-{section[:-1]}", f"{message} {name!r}", steps[-1].place, severity)

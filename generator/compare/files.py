"""Line-by-line differences between the files of two decisions of one spec. Floor 7, pure."""

from __future__ import annotations

from collections.abc import Mapping

from generator.compare.model import FileDiff
from generator.decide.decision import Outcome
from generator.errors import GenDeployError
from generator.render.files import artifacts
from generator.report.edits import unified

LEFT_OUT = ("plan.json", "PLAN.md")
"""Excluded files: they contain the rule set's digest and figures and always change; decisions are compared instead."""
MOST_LINES = 200
"""Maximum number of diff lines kept per file."""


def file_diffs(one: Mapping[str, str], other: Mapping[str, str]) -> tuple[FileDiff, ...]:
    """The changes of launch files, by path."""
    found = []
    for path in sorted({*one, *other}):
        before, after = one.get(path), other.get(path)
        if before == after:
            continue
        lines = unified(before, after, path, path)
        state = "new" if before is None else "gone" if after is None else "changed"
        added = sum(line.startswith("+") for line in lines[2:])
        removed = sum(line.startswith("-") for line in lines[2:])
        more = [f"… {len(lines) - MOST_LINES} lines more"] if len(lines) > MOST_LINES else []
        found.append(FileDiff(path, state, (*lines[:MOST_LINES], *more), added, removed))
    return tuple(found)


def texts_of(outcome: Outcome | None, back: str = "..") -> Mapping[str, str]:
    """The launch files of a decision by path (`back` as for `artifacts`); none if nothing fits or no files can be written (an engine version without facts)."""
    if outcome is None or outcome.plan.choice is None or outcome.context.book.sizing != "detailed":
        return {}
    spec = outcome.context.spec
    try:
        made = artifacts(outcome.plan, [outcome.plan.choice], outcome.context.book, spec_file=spec.document.name.rpartition("/")[2], back=back)
    except GenDeployError:
        return {}
    return {a.path: a.text for a in made if a.path not in LEFT_OUT}

"""Write the *Decisions* section of a release for CHANGELOG.md: what gen-deploy decides otherwise than before, over the built-in grid.

    python scripts/decisions.py v0.4.0                # since a release, up to the working tree
    python scripts/decisions.py v0.4.0 v0.5.0         # between two commits

Each side plans the grid (rules/grid.yaml of this checkout) with its own code and its own rules, in a temporary folder, and the plans are
compared. So the section also tells what a changed formula or catalogue does, which no comparison of rules can.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import yaml

from generator.compare.model import LEVELS, Change, Comparison, RulesName, figures, in_order, level, moves, totals, view_of_json, words
from generator.report import diff
from generator.rulebook.book import load
from generator.spec.words import grid

ROOT = Path(__file__).resolve().parents[1]
MOST_OUTCOMES = 5


def tree(commit: str, folder: Path) -> Path:
    """The files of a commit, in a folder; nothing of the checkout is touched."""
    raw = subprocess.run(["git", "archive", "--format=tar", commit], cwd=ROOT, check=True, capture_output=True).stdout
    with tarfile.open(fileobj=BytesIO(raw)) as archive:
        archive.extractall(folder, filter="data")
    return folder


def plans(root: Path, specs: Path) -> dict[str, Any]:
    """The plans of the specs by the gen-deploy in a folder, by name; what it cannot plan is left out."""
    command = [sys.executable, "-m", "generator", "plan", "--json", *map(str, sorted(specs.glob("*.yaml")))]
    done = subprocess.run(command, cwd=specs, env={**os.environ, "PYTHONPATH": str(root)}, capture_output=True, text=True, check=False)
    found = json.loads(done.stdout or "[]")
    return {plan["name"]: {**plan, "rejected": {}} for plan in (found if isinstance(found, list) else [found])}


def compared(old: Mapping[str, Any], new: Mapping[str, Any]) -> Comparison:
    """The decisions of two versions, by the names of their specs."""
    changes, sums = list[Change](), []
    for name in sorted(old.keys() & new.keys()):
        one, other = view_of_json(old[name]), view_of_json(new[name])
        before, after = one["choice"], other["choice"]
        sums.append((name, figures(one, {}), figures(other, {})))
        if how := level(one, other):
            told = tuple(moves(before, after)) if before and after else ()
            changes.append(Change(name, name, how, "tool", words(before), words(after), told))
    nothing = RulesName("", "", "")
    return Comparison(nothing, nothing, len(new), tuple(in_order(changes)), (), totals=totals(sums, {}))


def section(result: Comparison, base: str) -> Iterator[str]:
    """The section in Markdown: the sum, then the outcomes of each kind, most frequent first."""
    yield "### Decisions"
    yield ""
    yield f"Over the grid of {result.specs} deployments, against {base}: {diff.verdict(result, 'deployment')}"
    yield ""
    by_level: dict[str, list[Change]] = {}
    for change in result.decisive:
        by_level.setdefault(change.level, []).append(change)
    for kind in (kind for kind in LEVELS if kind in by_level):
        found = by_level[kind]
        counts: dict[str, list[str]] = {}
        for change in found:
            counts.setdefault(_outcome(change), []).append(change.name)
        ordered = sorted(counts.items(), key=lambda pair: -len(pair[1]))
        yield f"- {diff.said('level', kind, len(found))}:"
        yield from (f"  - {len(names)} × {outcome} ({diff.said('listed', names, 2)})" for outcome, names in ordered[:MOST_OUTCOMES])
        if len(ordered) > MOST_OUTCOMES:
            yield f"  - and {sum(len(names) for _, names in ordered[MOST_OUTCOMES:])} more, in other ways"


def _outcome(change: Change) -> str:
    """What changed, without the numbers of versions and GPUs: those differ from spec to spec."""
    if change.old is None or change.new is None or change.old == change.new:
        return ", ".join(sorted({move.key.removeprefix("settings.") for move in change.moves})) or f"{change.old or 'nothing'} → {change.new or 'nothing'}"
    return f"{change.old} → {change.new}"


def main() -> int:
    """Print the section; 2 for a wrong command line."""
    if len(sys.argv) not in (2, 3) or sys.argv[1].startswith("-"):
        print(__doc__, file=sys.stderr)
        return 2
    base, head = sys.argv[1], sys.argv[2] if len(sys.argv) == 3 else None
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "specs").mkdir()
        for spec in grid(load()).values():
            data: Mapping[str, Any] = spec.document.data
            (folder / "specs" / f"{spec.name}.yaml").write_text(yaml.safe_dump(dict(data), sort_keys=False), encoding="utf-8")
        old = plans(tree(base, folder / "old"), folder / "specs")
        new = plans(tree(head, folder / "new") if head else ROOT, folder / "specs")
    print("\n".join(section(compared(old, new), base)))
    return 0


if __name__ == "__main__":
    sys.exit(main())

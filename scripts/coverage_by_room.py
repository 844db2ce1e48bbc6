"""Prints how much of each room of `generator/` the tests run, in lines, and the modules that they run least.

    python -m pytest --cov=generator --cov-report=json:coverage.json
    python scripts/coverage_by_room.py coverage.json

Counted is what runs in the tests' own processes, not the commands that they start.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from pathlib import Path

LOW = 80
"""Modules below this percentage are named."""
MOST = 15
"""How many of them at most."""


def main() -> None:
    """Print the table of a JSON report of coverage."""
    rooms: dict[str, list[tuple[int, int]]] = defaultdict(list)
    modules: dict[str, tuple[int, int]] = {}
    for name, file in json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))["files"].items():
        parts = Path(name).parts
        counted = file["summary"]["covered_lines"], file["summary"]["num_statements"]
        rooms["/".join(parts[1:2]) if len(parts) > 2 else "(top)"].append(counted)
        modules["/".join(parts[1:])] = counted
    print(f"{'room':14} {'lines':>6} {'run':>6}")
    for room, found in sorted(rooms.items()):
        row(room, found)
    row("all", list(modules.values()))
    low = sorted((share(run, lines), name) for name, (run, lines) in modules.items() if share(run, lines) < LOW)
    if low:
        shown = ", ".join(f"{name} {percent:.0f} %" for percent, name in low[:MOST])
        print(f"below {LOW} %: {shown}{f', and {len(low) - MOST} more' if len(low) > MOST else ''}")


def row(name: str, found: list[tuple[int, int]]) -> None:
    """Print one line of the table."""
    run, lines = (sum(numbers) for numbers in zip(*found, strict=True))
    print(f"{name:14} {lines:6} {share(run, lines):5.1f}%")


def share(run: int, lines: int) -> float:
    """Percent of the lines that were run; a module without any counts as run."""
    return 100 * run / lines if lines else 100.0


if __name__ == "__main__":
    main()

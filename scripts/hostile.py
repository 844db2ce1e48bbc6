#!/usr/bin/env python
"""Hostile texts by the million, through the main job and the real readers of its files (tests/hostile says how).

    python scripts/hostile.py --values 1000000 --seed 7 --result docs/hostile.json

Goes on where an earlier run with the same result file, seed and state of the project stopped. Prints what it found, each with the
smallest spec that shows it, and ends with 1 where it found anything. Needs the [test] extra; Docker Compose v2 is fetched where it is
not here, and without it a strict reader of our own takes its place. With LLAMA_CPP_BIN the real llama-server parses a tenth of its
command lines.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import multiprocessing.util
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests/hostile")]

from hostile_readers import compose_program, cpu_folder  # noqa: E402
from hostile_run import Finding, Proof, Tally  # noqa: E402

SPECS = 100
"""Specs of one batch."""

FEWEST = 18
"""Values that a spec has on average, or more."""

SHOWN = 5
"""Findings that are printed in full."""


_proof: Proof | None = None


def prepare() -> None:
    """Each process has a folder and readers of its own."""
    global _proof
    binaries = os.environ.get("LLAMA_CPP_BIN")
    folder = tempfile.TemporaryDirectory(dir=cpu_folder())
    multiprocessing.util.Finalize(None, folder.cleanup, exitpriority=10)
    _proof = Proof(Path(folder.name), compose_program(fetch=True), f"{binaries}/llama-server" if binaries else None)


def batch(task: tuple[int, int]) -> Tally:
    """The specs from a number on."""
    first, seed = task
    assert _proof
    return _proof.batch(first, SPECS, seed)


def state_of_the_project() -> str:
    """The commit that is tried, with a mark where files differ from it."""
    said = subprocess.run(["git", "-C", str(ROOT), "describe", "--always", "--dirty=+"], capture_output=True, text=True, check=False)
    return said.stdout.strip() or "unknown"


def main() -> int:
    """Run, print, write the result; 1 where anything was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--values", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--result", type=Path, help="a JSON file; an unfinished one is gone on with")
    asked = parser.parse_args()
    started, shown, total = time.monotonic(), 0.0, Tally()
    head = {"seed": asked.seed, "state": state_of_the_project()}
    before = json.loads(asked.result.read_text()) if asked.result and asked.result.exists() else {}
    if {key: before.get(key) for key in head} == head:
        total, started = read(before), started - before["seconds"]
    tasks = [(first, asked.seed) for first in range(total.specs, asked.values // FEWEST + 1, SPECS)]
    with multiprocessing.Pool(asked.jobs, prepare) as pool:
        for tally in pool.imap(batch, tasks):  # in order, so that an unfinished run can be gone on with
            total.add(tally)
            if time.monotonic() - shown > 10:
                shown = time.monotonic()
                print(f"{total.values:,} values, {len(total.findings)} findings, {shown - started:.0f} s", flush=True)
                write(asked.result, head, total, time.monotonic() - started)
        pool.close()
        pool.join()
    write(asked.result, head, total, time.monotonic() - started)
    became = f"{total.arrived.total():,} arrived, {total.refused.total():,} refused, {len(total.findings)} findings"
    print(f"{total.values:,} values in {total.specs:,} specs: {became}")
    for finding in total.findings[:SHOWN]:
        print(finding)
    return 1 if total.findings else 0


def read(before: dict[str, Any]) -> Tally:
    """The tally of an unfinished result."""
    arrived, refused, codes, readers = (Counter[str](before[name]) for name in ("arrived", "refused", "codes", "readers"))
    return Tally(before["specs"], arrived, refused, codes, readers, [Finding(text, "", {}, "") for text in before["findings"]])


def write(path: Path | None, head: dict[str, Any], total: Tally, seconds: float) -> None:
    """The result as it stands."""
    if path is None:
        return
    data = {
        "how": "python scripts/hostile.py: seed and number of a spec say what stood in it", **head,
        "values": total.values, "specs": total.specs, "seconds": round(seconds), "findings": [str(finding) for finding in total.findings],
        "arrived": dict(sorted(total.arrived.items())), "refused": dict(sorted(total.refused.items())),
        "codes": dict(total.codes.most_common()), "readers": dict(total.readers.most_common()),
    }  # fmt: skip
    path.write_text(json.dumps(data, indent=1, ensure_ascii=True) + "\n")


if __name__ == "__main__":
    sys.exit(main())

"""What fuzzing found, once and for all: every file in tests/data/fuzz, and the seeds, through the same targets.

`python scripts/fuzz.py` looks for more; what it finds and somebody mends stays here.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from fuzz_targets import TARGETS, Target, judged

FOUND = Path(__file__).parents[1] / "data/fuzz"


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_what_was_found_stays_mended(target: Target, tmp_path: Path) -> None:
    one = target
    one.prepare(tmp_path)
    files = {path.name: path.read_bytes() for path in sorted((FOUND / one.name).glob("*"))}
    for number, data in enumerate(one.seeds()):
        if number < 3:
            files[f"seed {number}"] = data
    assert files
    slack = 3.0 if sys.gettrace() is not None else 1.0  # coverage traces each line
    wrong = {name: what for name, data in files.items() if (what := judged(one, data, tmp_path, slack))}
    assert not wrong

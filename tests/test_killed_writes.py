"""A few dozen killed runs; `tests/killed_writes.py` makes thousands."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from killed_writes import Kills


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs fork and bash")
def test_a_killed_run_leaves_the_old_set_the_new_one_or_one_that_does_not_start(tmp_path: Path) -> None:
    kills = Kills(tmp_path, seed=14)
    for _ in range(80):
        kills.run()
    assert kills.faults == []
    assert kills.counts["mixed"] >= 15 and kills.counts["mixed, refused"] >= 45, kills.counts
    assert kills.counts["old, started"] >= 20, kills.counts

"""`benchmarks/throughput_accuracy/refit.py --write` puts what it fitted into the shipped file, and nothing else."""

from __future__ import annotations

import shutil
from pathlib import Path

import yaml

from benchmarks.throughput_accuracy.refit import THRESHOLDS, write


def test_every_factor_can_be_written(tmp_path: Path) -> None:
    copy = tmp_path / "speed.yaml"
    shutil.copy(THRESHOLDS, copy)
    before = yaml.safe_load(copy.read_text(encoding="utf-8"))["thresholds"]
    write(dict.fromkeys(before, 0.125), copy)
    after = yaml.safe_load(copy.read_text(encoding="utf-8"))["thresholds"]
    assert after == {name: {**entry, "value": 0.125} for name, entry in before.items()}
    assert len(copy.read_text(encoding="utf-8").splitlines()) == len(THRESHOLDS.read_text(encoding="utf-8").splitlines())

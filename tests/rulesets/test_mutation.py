"""A quick sample of the mutation check (`benchmarks/mutation.py` does all): most rows, taken away, change what some case is decided to."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks/mutation.py"
SAMPLE = 20


def _script() -> Any:
    spec = importlib.util.spec_from_file_location("mutation", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["mutation"] = module  # a NamedTuple looks its module up
    spec.loader.exec_module(module)
    return module


def test_a_sample_of_mutants_is_caught() -> None:
    mutation = _script()
    tried, survivors, specs = mutation.check("default", SAMPLE)
    assert len(tried) == SAMPLE
    assert specs >= 100
    assert len(survivors) <= round(SAMPLE * (1 - mutation.BAR)) + 1, survivors


def test_the_handbook_too() -> None:
    """Two rows survive: the ladder's order, and the order of candidates' ids, say the same; they stand there because the handbook says them."""
    mutation = _script()
    _, survivors, _ = mutation.check("handbook")
    assert set(survivors) <= {"without reject/not-on-the-ladder", "without prefer/one-gpu-otherwise"}


def test_rows_and_thresholds_are_counted_apart() -> None:
    mutation = _script()
    tried = ["without reject/a", "without reject/b", "x × 0.8", "x × 1.2"]
    assert mutation.parts(tried, ["x × 0.8"]) == {"rows taken away": (2, 2), "thresholds moved": (1, 2)}
    assert mutation.told(tried, ["x × 0.8"]) == "2 of 2 rows taken away (100.0%) and 1 of 2 thresholds moved (50.0%) are caught"
    assert mutation.share(0, 0) == 1

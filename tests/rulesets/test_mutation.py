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
    assert len(survivors) <= SAMPLE * (1 - mutation.BAR) + 1, survivors


def test_the_handbook_too() -> None:
    """The rows that survive stand there because the handbook says them; its order of engines and the candidates' ids say the same."""
    mutation = _script()
    _, survivors, _ = mutation.check("handbook")
    said_twice = ["reject/not-on-the-ladder", "reject/vllm-for-throughput", "reject/one-copy", "prefer/one-gpu-otherwise"]
    assert set(survivors) <= {f"without {row}" for row in said_twice}

"""A diff over 500 specs: at most 20 s on two cores, and linear in specs (`benchmarks/diff.py`). CPU is measured, since machines are shared."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("resource", reason="the benchmark reads the memory of a process, which Windows does not say this way")
SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks/diff.py"


def _script() -> Any:
    spec = importlib.util.spec_from_file_location("benchmark_diff", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["benchmark_diff"] = module  # a NamedTuple looks its module up
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_500_specs(tmp_path: Path) -> None:
    bench = _script()
    cost = {}
    for count in (bench.BAR_SPECS // 2, bench.BAR_SPECS):
        folder = tmp_path / str(count)
        folder.mkdir()
        bench.repository(folder, count)
        cost[count] = bench.diff(folder)
        assert f"of {count} specs decide differently" in cost[count].verdict
    half, whole = (cost[count].cpu for count in sorted(cost))
    assert whole <= bench.CORES * bench.BAR_S
    assert whole <= 2.5 * half

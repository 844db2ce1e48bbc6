"""The memory model against logged starts, through the whole plan; docs/accuracy.md is what its script writes."""

from __future__ import annotations

import statistics
import subprocess
import sys
from pathlib import Path

import pytest
from starts import ROOT, pinned_start, planned, sized, starts

from generator.quantity import gib

BARS = {"weights": (0.5, 3), "kv_tokens": (2, 10), "activations": (5, 15)}
"""Median and 90th percentile of the absolute error, in %."""


@pytest.fixture(scope="module")
def errors(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {name: [] for name in BARS}
    folder = tmp_path_factory.mktemp("starts")
    for row in starts():
        candidate = sized(planned(pinned_start(row), folder))
        assert candidate.memory is not None
        assert candidate.kv_cache is not None
        told = {"weights": gib(candidate.memory.weights), "activations": gib(candidate.memory.activations), "kv_tokens": candidate.kv_cache.tokens}
        keys = {"weights": "weights_gib", "activations": "activation_gib", "kv_tokens": "kv_tokens"}
        for name in row["score"]:
            logged = row["logged"][keys[name]]
            found[name].append(100 * abs(told[name] - logged) / logged)
    return found


@pytest.mark.parametrize("figure", BARS)
def test_bars(figure: str, errors: dict[str, list[float]]) -> None:
    found, (median, high) = sorted(errors[figure]), BARS[figure]
    assert len(found) >= 30
    assert statistics.median(found) <= median
    assert found[int(0.9 * len(found))] <= high


def test_the_page_is_up_to_date() -> None:
    run = subprocess.run([sys.executable, str(ROOT / "benchmarks/accuracy/table.py"), "--check"], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr


def test_the_scorer_of_other_engines_reads_a_file_that_it_is_given(tmp_path: Path) -> None:
    rows = tmp_path / "rows.json"
    rows.write_text(
        """[{"id": "a", "engine": "sglang", "model": "Qwen/Qwen2.5-7B-Instruct", "gpu": "RTX 3090 24GB", "quant": "bf16", "tp": 1, "mem_fraction_static": 0.88,
             "avail_before_gb": 22.76, "avail_after_weights_gb": 8.37, "kv_tokens": 105531, "kv_gib": 5.64, "chunked_prefill_size": 2048, "context_len": 32768},
            {"id": "b", "engine": "ollama", "kind2": "prediction", "model": "x"}]""",
        encoding="utf-8",
    )
    command = [sys.executable, str(ROOT / "benchmarks/accuracy/score_other_engines.py"), str(rows), "--configs", str(ROOT / "tests/data/configs")]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "sglang KV tokens, from what was free" in run.stdout
    assert "ollama" not in run.stdout

"""The speed model against published measurements (tests/data/throughput/README.md): median and p90 error by class, and the bands."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import pytest

from benchmarks.throughput_accuracy.predict import predictions, prepare
from benchmarks.throughput_accuracy.rows import tensor_of
from benchmarks.throughput_accuracy.score import table
from generator.decide.context import numbers_of
from generator.rulebook.book import load
from generator.throughput.estimate import Bands, Calibration

FILE = Path(__file__).resolve().parents[1] / "data" / "throughput" / "measured.csv"
BARS = {
    "TensorRT-LLM maximum dense": (0.12, 0.35),
    "TensorRT-LLM maximum MoE": (0.25, 0.60),
    "TPOT vllm dense": (0.15, 0.35),
    "TPOT vllm MoE": (0.25, 0.60),
    "TPOT sglang MoE": (0.25, 0.60),
    "TPOT sglang dense": (0.15, 0.35),
    "TPOT tensorrt-llm dense": (0.15, 0.40),
    "llama.cpp decode": (0.15, 0.40),
    "llama.cpp prefill": (0.20, 0.45),
}


@lru_cache(2)
def scores(*, sources: bool = False) -> dict[str, tuple[int, float, float, float, float]]:
    book = load("default")
    found = prepare(FILE, book)
    rows = table(found, predictions(found, Calibration(numbers_of(book, "0"))), Bands(numbers_of(book, "0")), sources=sources)
    return {group: (count, middle, ninth, ratio, inside) for group, count, middle, ninth, ratio, inside in rows}


@pytest.mark.parametrize("group", sorted(BARS))
def test_error(group: str) -> None:
    count, middle, ninth, _, _ = scores()[group]
    assert count >= 20
    assert middle <= BARS[group][0]
    assert ninth <= BARS[group][1]


@pytest.mark.parametrize("group", [*sorted(BARS), "TTFT vllm dense", "TTFT vllm MoE", "TensorRT-LLM static batch dense"])
def test_four_of_five_lie_within_the_band(group: str) -> None:
    assert scores()[group][4] >= 0.8


def test_sglang_on_dense_models_lies_within_the_band_in_every_source() -> None:
    found = {name: score for name, score in scores(sources=True).items() if name.startswith("TPOT sglang dense")}
    assert len(found) == 3
    assert all(score[4] >= 0.8 for score in found.values()), found


def test_every_row_is_understood() -> None:
    rows = len(FILE.read_text(encoding="utf-8").splitlines()) - 1
    assert sum(score[0] for score in scores().values()) == rows


def test_how_a_row_says_its_parallelism() -> None:
    def ways(tensor: int, note: str, engine: str = "sglang") -> int | None:
        return tensor_of({"tp": str(tensor), "engine": engine, "note": note})

    assert ways(16, "agg; attn_dp=1 moe_tp=4 moe_ep=4; x") == 4  # four GPUs, listed as sixteen
    assert ways(4, "agg; attn_dp=1 moe_tp=1 moe_ep=4; x") == 4
    assert ways(4, "agg; attn_dp=4 moe_tp=1 moe_ep=16; x", "vllm") == 4
    assert ways(1, "agg; attn_dp=4 moe_tp=1 moe_ep=4; x", "trtllm") is None  # attention is data-parallel
    assert ways(1, "agg; attn_dp= moe_tp=2 moe_ep=1; x", "vllm") is None
    assert ways(32, "agg; attn_dp=1 moe_tp=32 moe_ep=1; x", "trtllm") is None  # the sum of a disaggregated run
    assert ways(2, "") == 2

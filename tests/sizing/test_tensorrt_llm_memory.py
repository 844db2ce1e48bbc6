"""TensorRT-LLM's profile against logged starts."""

from __future__ import annotations

import statistics
from typing import Any

import pytest
from memory_rows import SMALL, architecture, data, numbers

from generator.engines import cache_cost
from generator.engines.tensorrt_llm import memory as tensorrt_llm
from generator.facts.model import shape_of
from generator.quantity import GIB
from generator.rulebook.book import load
from generator.sizing.footprint import Device, Fixed, Layout, Load
from generator.sizing.weights import weight_bytes

DATA = data("tensorrt-llm")
BOUND = numbers("1.2.0")


@pytest.mark.parametrize("row", DATA["rows"], ids=lambda r: r["id"])
def test_pool(row: dict[str, Any]) -> None:
    setup, logged = row["setup"], row["logged"]
    device, weights = Device(int(setup["capacity_gib"] * GIB)), int(logged["weights_gib"] * GIB)
    model, layout = architecture(DATA["models"][row["model"]]), Layout(setup["tensor_parallel"])
    asked = Load(2048, setup["max_batch_size"], setup["max_num_tokens"])
    bound = numbers(setup["version"])
    fixed = tensorrt_llm.fixed(model, layout, asked, device, weights, bound)
    pool = tensorrt_llm.budget(device, weights, fixed, setup["fraction"], bound) - weights - fixed.total
    assert pool / GIB == pytest.approx(logged["kv_pool_gib"], rel=0.01), row["source"]
    assert fixed.activations / GIB == pytest.approx(logged["activation_gib"] - logged["temporary_kv_gib"], abs=0.15)
    assert fixed.runtime / GIB == pytest.approx(logged["outside_torch_gib"], abs=0.4)


def held(row: dict[str, Any]) -> list[float]:
    """Errors of the sequences that a pool holds, in %; a whole number was counted, so the middle between it and the next."""
    book = load("default")
    model, layout = shape_of(row["model"], book), Layout(row["tensor_parallel"])
    assert model is not None
    gpu = book.section("gpus")[row["gpu"]]
    device = Device(int(gpu["capacity_gib"] * GIB), compute_capability=10.3 if row["gpu"].startswith("GB") else 9.0)
    weights = weight_bytes(model, book.section("methods")[row["method"]], layout)
    cost, errors = cache_cost(model, layout, 16, "tensorrt-llm"), []
    for prompt, answer, counted in row["held"]:
        length = prompt + answer + 1000
        fixed = tensorrt_llm.fixed(model, layout, Load(length, 4096, 2 * prompt), device, weights, BOUND)
        pool = tensorrt_llm.budget(device, weights, fixed, row["fraction"], BOUND) - weights - fixed.total
        errors.append(100 * abs(pool / cost.bytes_for(length, 1) / (counted + 0.5) - 1))
    return errors


@pytest.mark.parametrize(("model", "median", "high"), [("Llama-3.1-8B", 0.3, 0.8), ("Qwen3-32B", 0.8, 2)])
def test_sequences_that_the_pool_holds(model: str, median: float, high: float) -> None:
    errors = sorted(error for row in DATA["capacity"] if model in row["model"] for error in held(row))
    assert len(errors) == 36
    assert statistics.median(errors) <= median
    assert errors[int(0.9 * len(errors))] <= high


@pytest.mark.parametrize("capacity", [23.5, 79.18, 139.8])
@pytest.mark.parametrize("seqs", [32, 256, 4096])
def test_fraction_leaves_room_for_graphs(capacity: float, seqs: int) -> None:
    device, weights = Device(int(capacity * GIB)), int(8.55 * GIB)
    fixed = tensorrt_llm.fixed(SMALL, Layout(), Load(2048, seqs, 8192), device, weights, BOUND)
    fraction = tensorrt_llm.fraction_for(device, weights, fixed, BOUND)
    assert 0.5 < fraction <= BOUND("tensorrt_llm.fraction_ceiling")
    used = tensorrt_llm.budget(device, weights, fixed, fraction, BOUND)
    assert used + BOUND("tensorrt_llm.margin_gib") * GIB <= device.capacity


def test_nothing_left() -> None:
    device = Device(GIB)
    assert tensorrt_llm.fraction_for(device, 2 * GIB, Fixed(0, 0, 0), BOUND) == 0
    assert tensorrt_llm.budget(device, 2 * GIB, Fixed(1, 2, 3), 0.9, BOUND) == 2 * GIB + 6

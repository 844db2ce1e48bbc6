"""TensorRT-LLM's profile against logged starts."""

from __future__ import annotations

from typing import Any

import pytest
from memory_rows import SMALL, architecture, data, numbers

from generator.engines.tensorrt_llm import memory as tensorrt_llm
from generator.quantity import GIB
from generator.sizing.footprint import Device, Fixed, Layout, Load

DATA = data("tensorrt-llm")
BOUND = numbers("1.2.0")


@pytest.mark.parametrize("row", DATA["rows"], ids=lambda r: r["id"])
def test_pool(row: dict[str, Any]) -> None:
    setup, logged = row["setup"], row["logged"]
    device, weights = Device(int(setup["capacity_gib"] * GIB)), int(logged["weights_gib"] * GIB)
    model, layout = architecture(DATA["models"][row["model"]]), Layout(setup["tensor_parallel"])
    load = Load(2048, setup["max_batch_size"], setup["max_num_tokens"])
    fixed = tensorrt_llm.fixed(model, layout, load, device, weights, BOUND)
    pool = tensorrt_llm.budget(device, weights, fixed, setup["fraction"], BOUND) - weights - fixed.total
    assert pool / GIB == pytest.approx(logged["kv_pool_gib"], rel=0.01), row["source"]
    assert fixed.activations / GIB == pytest.approx(logged["activation_gib"] - logged["temporary_kv_gib"], abs=0.1)
    assert fixed.runtime / GIB == pytest.approx(logged["outside_torch_gib"], abs=0.4)


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

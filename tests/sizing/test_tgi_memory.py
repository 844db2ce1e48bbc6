"""TGI's warm-up against the two logged starts that name card and model."""

from __future__ import annotations

from typing import Any

import pytest
from memory_rows import SMALL, architecture, data, numbers, percent

from generator.engines.tgi import memory as tgi
from generator.quantity import GIB
from generator.sizing.footprint import Device, Layout, Load

DATA = data("tgi")


@pytest.mark.parametrize("row", DATA["rows"], ids=lambda r: r["id"])
def test_pool(row: dict[str, Any]) -> None:
    setup = row["setup"]
    bound, device = numbers(setup["version"]), Device(int(setup["capacity_gib"] * GIB))
    weights, tokens = int(setup["weights_gib"] * GIB), setup["max_batch_prefill_tokens"]
    layout, load = Layout(setup["tensor_parallel"]), Load(tokens, 128, tokens)
    fixed = tgi.fixed(architecture(DATA["models"][setup["model"]]), layout, load, device, weights, bound)
    pool = tgi.budget(device, weights, fixed, 1.0, bound) - weights - fixed.total
    error = percent(pool, row["logged"]["tokens"] * setup["bytes_per_token"])
    assert abs(error) <= row["tolerance_percent"], f"{error:+.1f} %, {row['source']}"


@pytest.mark.parametrize("capacity", [22.06, 44.4, 79.18])
def test_fraction_leaves_room_for_graphs(capacity: float) -> None:
    bound, device, weights = numbers("3.3.7"), Device(int(capacity * GIB)), 15 * GIB
    fixed = tgi.fixed(SMALL, Layout(), Load(4096, 128, 4096), device, weights, bound)
    fraction = tgi.fraction_for(device, weights, fixed, bound)
    assert 0.5 < fraction <= 1.0
    used = tgi.budget(device, weights, fixed, fraction, bound)
    assert used + bound("tgi.margin_gib") * GIB <= device.capacity


def test_eager_has_no_graphs() -> None:
    load = Load(4096, 128, 4096, enforce_eager=True)
    assert tgi.fixed(SMALL, Layout(), load, Device(GIB), 0, numbers("3.3.7")).cuda_graphs == 0

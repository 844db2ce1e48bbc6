"""SGLang's pool rule and the fraction that we emit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from memory_rows import ROOT, SMALL, data, numbers, percent
from shipped_families import from_config
from starts import planned, sized

from generator.engines.sglang import memory as sglang
from generator.quantity import GIB
from generator.sizing.footprint import Device, Fixed, Layout, Load

BOUND = numbers("0.5.23")
ROWS: list[dict[str, Any]] = data("sglang")["rows"]


def pool(capacity: float, weights: float, fixed: Fixed, fraction: float) -> float:
    device, used = Device(int(capacity)), int(weights * GIB)
    return (sglang.budget(device, used, fixed, fraction, BOUND) - used - fixed.total) / GIB


def fixed_of(logged: dict[str, Any], seqs: int = 32) -> Fixed:
    layout, load = Layout(logged["tensor_parallel"]), Load(8192, seqs, logged.get("chunked_prefill_size", 4096))
    return sglang.fixed(SMALL, layout, load, Device(1), 0, BOUND)


@pytest.mark.parametrize("row", ROWS, ids=lambda r: r["id"])
def test_pool_from_free_memory(row: dict[str, Any]) -> None:
    logged = row["logged"]
    fixed = fixed_of(logged)
    weights = logged["free_before_gib"] - logged["free_after_weights_gib"]
    told = pool(logged["free_before_gib"] * GIB + fixed.runtime, weights, fixed, logged["fraction"])
    assert told == pytest.approx(logged["kv_pool_gib"], abs=0.1), row["source"]


@pytest.mark.parametrize("row", [r for r in ROWS if "capacity_gib" in r["logged"]], ids=lambda r: r["id"])
def test_pool_from_capacity(row: dict[str, Any]) -> None:
    logged = row["logged"]
    weights = logged["free_before_gib"] - logged["free_after_weights_gib"]
    told = pool(logged["capacity_gib"] * GIB, weights, fixed_of(logged), logged["fraction"])
    assert told == pytest.approx(logged["kv_pool_gib"], rel=0.02), row["source"]


@pytest.mark.parametrize("capacity", [22.06, 23.58, 44.4, 79.18, 139.8])
@pytest.mark.parametrize("chunk", [2048, 8192, 16384])
def test_fraction_leaves_activations_graphs_and_margin(capacity: float, chunk: int) -> None:
    device = Device(int(capacity * GIB))
    fixed = sglang.fixed(SMALL, Layout(), Load(8192, 256, chunk), device, 0, BOUND)
    fraction = sglang.fraction_for(device, 0, fixed, BOUND)
    outside = (device.capacity - fixed.runtime) * (1 - fraction)
    assert outside >= fixed.activations + fixed.cuda_graphs + BOUND("sglang.margin_gib") * GIB
    assert 0.5 < fraction <= BOUND("sglang.fraction_ceiling")
    assert sglang.budget(device, 0, fixed, fraction, BOUND) <= device.capacity


def test_nothing_left() -> None:
    assert sglang.fraction_for(Device(GIB), 0, Fixed(GIB, GIB, GIB), BOUND) == 0
    assert (
        sglang.fixed(SMALL, Layout(), Load(8192, 32, 2048, enforce_eager=True), Device(GIB), 0, BOUND).cuda_graphs == 0
    )


@pytest.mark.parametrize(("version", "tensor_parallel", "lost"), [("0.5.15", 8, 22.52), ("0.5.15", 16, 11.26), ("0.5.16", 8, 0.0)])
def test_stale_scales_of_mxfp4_experts(version: str, tensor_parallel: int, lost: float) -> None:
    """23 GiB (125.65 to 103) on 8 GPUs and 11.48 on 16, with a draft layer, were logged (source sglang-stale-mxfp4-scales)."""
    model = from_config(json.loads((ROOT / "tests/data/configs/deepseek-ai__DeepSeek-V4-Pro.json").read_text(encoding="utf-8")))
    device = Device(int(139.8 * GIB), compute_capability=9.0)
    told = sglang.fixed(model, Layout(tensor_parallel), Load(8192, 8, 4096), device, 0, numbers(version))
    assert told.loaded / GIB == pytest.approx(lost, abs=0.01)
    blackwell = device._replace(compute_capability=10.0)
    clean = sglang.fixed(model, Layout(tensor_parallel), Load(8192, 8, 4096), blackwell, 0, numbers(version))
    assert (clean.loaded, clean.runtime) == (0, told.runtime - told.loaded)
    pools = [sglang.budget(device, 0, fixed, 0.88, BOUND) - fixed.total for fixed in (clean, told)]
    assert pools[0] - pools[1] == told.loaded


@pytest.mark.parametrize("row", data("sglang")["plans"], ids=lambda r: r["id"])
def test_whole_plan(row: dict[str, Any], tmp_path: Path) -> None:
    pin = {"engine": "sglang", **row["spec"]["pin"]}
    workload = {"max_context": pin["max_model_len"], "input_tokens": 1, "output_tokens": 1, "concurrency": 1}
    plan = planned({"version": 1, "name": "start", **row["spec"], "pin": pin, "workload": workload}, tmp_path)
    cache = sized(plan).kv_cache
    assert cache is not None
    error = percent(cache.tokens, row["kv_tokens"])
    assert abs(error) <= row["error_percent"], f"{error:+.1f} %, {row['source']}"

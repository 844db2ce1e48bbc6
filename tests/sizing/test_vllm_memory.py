"""vLLM's memory law against logged starts."""

from __future__ import annotations

import statistics
import timeit
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from memory_rows import SMALL, architecture, data, numbers, percent
from starts import book, planned
from starts import sized as sized_plan

from generator.architecture.shape import CacheGroup
from generator.engines import cache_cost
from generator.engines.vllm import memory as vllm
from generator.facts.engine import resolve_engine
from generator.facts.model import shape_of
from generator.quantity import GIB
from generator.sizing.footprint import Device, Fixed, Layout, Load, Numbers

DATA = data("vllm")
ROWS: list[dict[str, Any]] = DATA["rows"]


def sized(row: dict[str, Any]) -> tuple[Fixed, Device, int, Numbers]:
    setup = row["setup"]
    device = Device(
        capacity=int(setup.get("capacity_gib", 80) * GIB),
        compute_capability=setup["compute_capability"],
        multiprocessors=setup["multiprocessors"],
    )
    load = Load(8192, setup["max_num_seqs"], setup["max_num_batched_tokens"])
    layout = Layout(setup["tensor_parallel"], setup["pipeline_parallel"])
    weights = int(row["logged"].get("weights_gib", 0) * GIB)
    bound = numbers(setup["version"])
    model = architecture(DATA["models"][setup["model"]])
    return vllm.fixed(model, layout, load, device, weights, bound), device, weights, bound


@pytest.mark.parametrize("row", [r for r in ROWS if "activation" in r["tolerance_percent"]], ids=lambda r: r["id"])
def test_activation_peak(row: dict[str, Any]) -> None:
    fixed, *_ = sized(row)
    error = percent(fixed.activations / GIB, row["logged"]["activation_gib"])
    assert abs(error) <= row["tolerance_percent"]["activation"], f"{error:+.1f} %, {row['source']}"


@pytest.mark.parametrize("row", [r for r in ROWS if "kv_pool" in r["tolerance_percent"]], ids=lambda r: r["id"])
def test_kv_pool(row: dict[str, Any]) -> None:
    fixed, device, weights, bound = sized(row)
    pool = vllm.budget(device, weights, fixed, row["setup"]["fraction"], bound) - weights - fixed.total
    error = percent(pool / GIB, row["logged"]["kv_gib"])
    assert abs(error) <= row["tolerance_percent"]["kv_pool"], f"{error:+.1f} %, {row['source']}"


@pytest.mark.parametrize("row", [r for r in ROWS if "graphs" in r["tolerance_percent"]], ids=lambda r: r["id"])
def test_graphs(row: dict[str, Any]) -> None:
    fixed, *_ = sized(row)
    error = percent(fixed.cuda_graphs / GIB, row["logged"]["cuda_graph_gib"])
    assert abs(error) <= row["tolerance_percent"]["graphs"], f"{error:+.1f} %, {row['source']}"


def test_activation_over_all_rows() -> None:
    errors = [
        abs(percent(sized(row)[0].activations / GIB, row["logged"]["activation_gib"]))
        for row in ROWS
        if "activation" in row["tolerance_percent"]
    ]
    assert len(errors) >= 15
    assert statistics.median(errors) <= 2


H100 = Device(int(79.18 * GIB), compute_capability=9.0, multiprocessors=132)


def activations(version: str, seqs: int = 1024, tokens: int = 8192, layout: Layout | None = None) -> float:
    return vllm.fixed(SMALL, layout or Layout(), Load(8192, seqs, tokens), H100, 0, numbers(version)).activations / GIB


def test_sampler_falls_with_the_versions() -> None:
    assert activations("0.11.0") == pytest.approx(4.76, rel=0.02)
    assert activations("0.19.0") == pytest.approx(1.89, rel=0.02)
    assert activations("0.27.1") < activations("0.19.0") < activations("0.11.0")
    assert activations("0.33.0") > activations("0.27.1")


def test_sampler_is_not_split_and_sequences_are_capped_by_the_batch() -> None:
    assert activations("0.19.0", layout=Layout(4)) == activations("0.19.0")
    assert activations("0.19.0", seqs=8192, tokens=512) == activations("0.19.0", seqs=512, tokens=512)


def test_eager_has_no_graphs_and_v2_keeps_its_state() -> None:
    load = Load(8192, 1024, 8192, enforce_eager=True)
    eager = vllm.fixed(SMALL, Layout(), load, H100, 0, numbers("0.33.0"))
    assert eager.cuda_graphs == 0
    assert eager.runtime / GIB == pytest.approx(0.13 + 4.125 * 1024 * 128256 / GIB)


def test_graphs_lie_outside_the_budget_of_old_versions() -> None:
    fixed = Fixed(GIB, GIB, GIB)
    assert (
        vllm.budget(H100, 0, fixed, 0.9, numbers("0.19.0")) - vllm.budget(H100, 0, fixed, 0.9, numbers("0.21.0")) == GIB
    )


@pytest.mark.parametrize("version", ["0.6.0", "0.19.0", "0.33.0"])
@pytest.mark.parametrize("capacity", [14.56, 22.06, 79.18, 178.0])
def test_fraction_leaves_room(version: str, capacity: float) -> None:
    device = Device(int(capacity * GIB))
    fixed = Fixed(GIB, GIB, GIB)
    fraction = vllm.fraction_for(device, 0, fixed, numbers(version))
    assert 0.5 < fraction <= 0.92
    assert vllm.budget(device, 0, fixed, fraction, numbers(version)) < device.capacity


@pytest.mark.parametrize("start", DATA["cpu"]["starts"], ids=str)
def test_process_on_a_cpu(start: dict[str, Any]) -> None:
    """What it holds before the cache, and that the cache is the rest of the share of the memory that is asked for."""
    facts, host = DATA["cpu"], Device(32 * GIB, vendor="cpu")
    bound, weights = numbers(facts["version"]), int(facts["weights_gib"] * GIB)
    load = Load(2048, start["max_num_seqs"], start["max_num_batched_tokens"])
    fixed = vllm.fixed(architecture(facts["model"]), Layout(), load, host, weights, bound)
    assert fixed.cuda_graphs == 0
    assert (weights + fixed.total) / GIB == pytest.approx(start["consumed_gib"], abs=0.2)
    fraction = vllm.fraction_for(host, weights, fixed, bound)
    assert fraction <= 1 - bound("vllm.cpu_reserve_gib") * GIB / host.capacity
    assert vllm.budget(host, weights, fixed, fraction, bound) == pytest.approx(fraction * host.capacity)


@pytest.mark.parametrize("row", DATA["caches"], ids=lambda row: row["id"])
def test_tokens_of_a_logged_pool(row: dict[str, Any]) -> None:
    model, layout = shape_of(row["model"], book()), Layout(row.get("tensor_parallel", 1))
    assert model is not None
    cost = cache_cost(model, layout, row.get("kv_bits", 16), "vllm", batched_tokens=8192)
    held = cost.tokens_in(int(row["pool_gib"] * GIB), row["max_model_len"])
    assert abs(percent(held, row["tokens"])) <= 6, f"{held:,} told, {row['tokens']:,} logged, {row['source']}"


@pytest.mark.parametrize("row", DATA["multimodal"], ids=lambda row: row["id"])
def test_each_term_of_a_multimodal_start(row: dict[str, Any], tmp_path: Path) -> None:
    memory = sized_plan(planned(row["spec"], tmp_path)).memory
    assert memory is not None
    told = {name: getattr(memory, name) / GIB for name in ("activations", "cuda_graphs", "kv_cache")}
    told["consumed"] = (memory.weights + memory.runtime) / GIB
    for name, logged in row["logged"].items():
        assert told[name] == pytest.approx(logged, abs=0.25), name


def test_hybrids_keep_the_numbers_of_their_runner() -> None:
    """Between two releases only models without states run in the newer model runner; AMD has no FlashInfer, old cards the old engine."""
    engine = {version: resolve_engine("vllm", version, book()) for version in ("0.10.0", "0.24.0", "0.27.1", "0.33.0")}
    hybrid = replace(SMALL, caches=(CacheGroup("state", 1, state_bytes=1),))
    older = {version: dict(one.older_numbers(H100, hybrid)) for version, one in engine.items()}
    assert not older["0.24.0"] and not older["0.33.0"]
    assert older["0.27.1"]["vllm.graphs_in_budget"] == "0.24.0"
    assert not engine["0.27.1"].older_numbers(H100, SMALL)
    assert dict(engine["0.33.0"].older_numbers(Device(GIB, "amd", 9.4), SMALL)) == {"vllm.sampler_bytes": "0.28.0"}
    assert dict(engine["0.10.0"].older_numbers(Device(GIB, compute_capability=7.5), SMALL))["vllm.multimodal_floor_gib"] == "0.7.3"
    assert not engine["0.10.0"].older_numbers(Device(GIB, compute_capability=8.0), SMALL)


def test_fixed_is_cheap() -> None:
    bound, load = numbers("0.33.0"), Load(8192, 256, 8192)
    taken = min(timeit.repeat(lambda: vllm.fixed(SMALL, Layout(2), load, H100, 0, bound), number=200, repeat=5)) / 200
    assert taken < 100e-6

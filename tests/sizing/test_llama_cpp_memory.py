"""llama.cpp's compute buffers against what it printed, and every engine behind one interface."""

from __future__ import annotations

from typing import Any

import pytest
from memory_rows import SMALL, architecture, data, numbers, percent

from generator.engines import ENGINES
from generator.engines.llama_cpp.memory import cells
from generator.quantity import GIB, MIB
from generator.sizing.footprint import Device, Fixed, Layout, Load

DATA, ROOM = data("llama.cpp"), ENGINES["llama.cpp"]
GPU, HOST = Device(24 * GIB), Device(64 * GIB, vendor="cpu")


@pytest.mark.parametrize("row", DATA["rows"], ids=lambda r: r["id"])
def test_compute_buffer(row: dict[str, Any]) -> None:
    setup = row["setup"]
    bound = numbers(setup["version"], row.get("numbers"))
    load = Load(setup["context"], 1, setup["micro_batch"])
    model = architecture(DATA["models"][setup["model"]])
    fixed = ROOM.memory.fixed(model, Layout(), load, HOST if setup.get("cpu") else GPU, 0, bound)
    error = percent(fixed.activations / MIB, row["compute_mib"])
    low, high = row["error_percent"]
    assert low <= error <= high, f"{error:+.2f} %, {row['source']}"


def test_without_flash_attention_on_a_gpu() -> None:
    bound = numbers("b3000", {"llama_cpp.flash_attention": 0})
    load = Load(8192, 1, 512)
    one = ROOM.memory.fixed(SMALL, Layout(), load, GPU, 0, bound).activations
    two = ROOM.memory.fixed(SMALL, Layout(pipeline_parallel=2), load, GPU, 0, bound).activations
    assert (one / MIB, two / MIB) == (560.0, 640.0)


def test_copies_for_several_gpus() -> None:
    load, bound = Load(16384, 1, 512), numbers("b9000")
    one = ROOM.memory.fixed(SMALL, Layout(), load, GPU, 0, bound).activations
    two = ROOM.memory.fixed(SMALL, Layout(pipeline_parallel=2), load, GPU, 0, bound).activations
    assert (two - one) / MIB == 4 * (8 + 16)


def test_a_gpu_also_holds_its_context() -> None:
    fixed = ROOM.memory.fixed(SMALL, Layout(), Load(8192, 1, 512), GPU, 0, numbers("b9000"))
    assert 450 <= fixed.runtime / MIB <= 460
    assert fixed.cuda_graphs == 0


def test_a_cache_for_each_slot_or_one_for_all() -> None:
    bound = numbers("b9000")
    assert cells(Load(5000, 3, 512), bound) == 5120
    assert cells(Load(5000, 3, 512), bound, sharing=3) == 15104
    few, one = (ROOM.memory.fixed(SMALL, Layout(), Load(32768, n, 512), GPU, 0, numbers("b11312")).activations for n in (4, 1))
    shared = ENGINES["ollama"].memory.fixed(SMALL, Layout(), Load(32768, 4, 512), GPU, 0, numbers("0.33.0")).activations
    assert few == one
    assert shared - few == 2 * 512 * 3 * 32768


def test_budget_keeps_the_margin() -> None:
    bound, none = numbers("b11434"), Fixed(0, 0, 0)
    assert ROOM.memory.budget(GPU, 0, none, ROOM.memory.fraction_for(GPU, 0, none, bound), bound) == 23 * GIB
    assert ROOM.memory.budget(HOST, 0, none, 1.0, bound) == 62 * GIB
    assert ROOM.memory.budget(Device(0), 0, none, 1.0, bound) == 0


def test_ollama_follows_its_own_version() -> None:
    load = Load(8192, 4, 512)
    old, new = (ENGINES["ollama"].memory.fixed(SMALL, Layout(), load, GPU, 0, numbers(v)) for v in ("0.12.0", "0.33.0"))
    assert old.activations / MIB == pytest.approx(258.5)
    assert new.activations < old.activations


@pytest.mark.parametrize(
    ("engine", "version"),
    [
        ("vllm", "0.33.0"),
        ("sglang", "0.5.23"),
        ("tensorrt-llm", "1.2.0"),
        ("tgi", "3.3.7"),
        ("llama.cpp", "b11434"),
        ("ollama", "0.33.0"),
    ],
)
def test_every_engine_answers(engine: str, version: str) -> None:
    memory, bound, device, weights = ENGINES[engine].memory, numbers(version), Device(int(79.18 * GIB)), 15 * GIB
    fixed = memory.fixed(SMALL, Layout(), Load(8192, 16, 2048), device, weights, bound)
    fraction = memory.fraction_for(device, weights, fixed, bound)
    pool = memory.budget(device, weights, fixed, fraction, bound) - weights - fixed.total
    assert 40 * GIB < pool < device.capacity - weights - fixed.total + 1


def test_all_engines_are_there() -> None:
    assert set(ENGINES) == {"vllm", "sglang", "tensorrt-llm", "tgi", "llama.cpp", "ollama"}

"""What the KV cache costs: logged pools, and the rules of each engine."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "architecture"))
from model_configs import NAMES, TRUTH, architecture

from generator.engines import cache_cost
from generator.quantity import GIB
from generator.sizing.footprint import Layout


@pytest.mark.parametrize("row", TRUTH["pools"], ids=lambda row: f"{row['config']}-{row['tokens']}")
def test_logged_pools(row: dict[str, Any]) -> None:
    layout = Layout(row.get("tensor_parallel", 1), row.get("pipeline_parallel", 1))
    cost = cache_cost(architecture(row["config"]), layout, row.get("kv_bits", 16), row["engine"])
    told = cost.tokens_in(int(row["gib"] * GIB), row["max_model_len"])
    assert told == pytest.approx(row["tokens"], rel=1.1e-3)


@pytest.mark.parametrize(
    ("name", "layout", "bits", "per_token"),
    [
        ("meta-llama__Llama-3.1-8B-Instruct", Layout(), 16, 131072),
        ("meta-llama__Llama-3.1-8B-Instruct", Layout(16), 16, 16384),  # one head at least
        ("meta-llama__Llama-3.1-8B-Instruct", Layout(1, 3), 16, 131072 * 11 // 32),
        ("meta-llama__Llama-3.1-8B-Instruct", Layout(), 8.5, 69632),
        ("deepseek-ai__DeepSeek-V3", Layout(8), 16, 61 * 576 * 2),
        ("google__medgemma-27b-it", Layout(), 16, 10 * 2 * 16 * 128 * 2),
        ("Qwen__Qwen3.5-35B-A3B", Layout(), 16, 10 * 2 * 2 * 256 * 2),
    ],
)
def test_bytes_per_token(name: str, layout: Layout, bits: float, per_token: int) -> None:
    assert cache_cost(architecture(name), layout, bits, "vllm").bytes_per_token == per_token


def test_windows_stop_growing() -> None:
    cost = cache_cost(architecture("google__medgemma-27b-it"), Layout(), 16, "vllm", batched_tokens=2048)
    short, middle, long = (cost.bytes_for(n, 8) for n in (1024, 16384, 32768))
    assert long - middle == 8 * 16384 * cost.bytes_per_token
    assert short > 8 * 1024 * cost.bytes_per_token * 5


def test_vllm_pads_groups_of_layers() -> None:
    """52 sliding and 10 full layers: six groups of ten, so eight layers are wasted."""
    cost = cache_cost(architecture("google__medgemma-27b-it"), Layout(), 16, "vllm", batched_tokens=1 << 20)
    layer = 2 * 16 * 128 * 2
    assert cost.tokens_in(70 * layer * 10**6, 10**6) == pytest.approx(10**6, rel=1e-3)


def test_vllm_gives_each_state_a_page() -> None:
    """Qwen3.5-35B: 2 KiB per token and layer against 2.05 MiB of state, a block of 1056 tokens."""
    cost = cache_cost(architecture("Qwen__Qwen3.5-35B-A3B"), Layout(), 16, "vllm")
    page = 1056 * 2048
    assert cost.state_layer_bytes == 49152 + 2097152 <= page
    assert cost.bytes_for(1, 4) == 4 * 40 * page
    assert cost.state_bytes == 30 * cost.state_layer_bytes


def test_chunked_layers_keep_everything_in_vllm_only() -> None:
    llama4 = architecture("meta-llama__Llama-4-Scout-17B-16E-Instruct")
    assert cache_cost(llama4, Layout(), 16, "vllm").bytes_per_token == 48 * 2 * 8 * 128 * 2
    assert cache_cost(llama4, Layout(), 16, "sglang").bytes_per_token == 12 * 2 * 8 * 128 * 2


@pytest.mark.parametrize("engine", ["tgi", "tensorrt-llm"])
def test_some_engines_keep_every_token(engine: str) -> None:
    cost = cache_cost(architecture("google__medgemma-27b-it"), Layout(), 16, engine)
    assert cost.bytes_per_token == 62 * 2 * 16 * 128 * 2


def test_sglang_keeps_pools_in_fixed_ratios() -> None:
    """Gemma-4-26B on two GPUs: 10.12 GiB hold 117,840 tokens of full layers (logged, ratio 0.8)."""
    cost = cache_cost(architecture("google__gemma-4-26B-A4B"), Layout(2), 16, "sglang", numbers=lambda name: 0.8)
    assert cost.tokens_in(int(10.12 * GIB), 262144) == pytest.approx(117840, rel=1e-3)
    hybrid = cache_cost(architecture("Qwen__Qwen3.5-35B-A3B"), Layout(), 16, "sglang", numbers=lambda name: 0.9)
    assert hybrid.tokens_in(int(39.38 * GIB), 8192) == pytest.approx(39.38 * GIB / 1.9 / 20480, rel=1e-3)


def test_llama_cpp_counts_cells() -> None:
    """Gemma-3-27B, four slots of 8192: a padded window and a micro-batch for each slot, or for all in one cache."""
    gemma = architecture("google__medgemma-27b-it")
    cost = cache_cost(gemma, Layout(), 16, "llama.cpp", batched_tokens=512, sequences=4)
    layer = 2 * 16 * 128 * 2
    assert cost.bytes_for(8192, 4) == 10 * 32768 * layer + 52 * 4 * (1024 + 512) * layer
    assert cost.bytes_for(300, 4) == 62 * 4 * 512 * layer
    shared = cache_cost(gemma, Layout(), 16, "ollama", batched_tokens=512, sequences=4)
    assert shared.bytes_for(8192, 4) == 10 * 32768 * layer + 52 * (4 * 1024 + 512) * layer
    assert cost.bytes_for(100, 1) == 62 * 256 * layer


def test_llama_cpp_spreads_layers_over_gpus() -> None:
    cost = cache_cost(architecture("meta-llama__Llama-3.1-8B-Instruct"), Layout(1, 3), 16, "llama.cpp")
    assert cost.bytes_per_token == 11 * 4096


@pytest.mark.parametrize("engine", ["vllm", "sglang", "tgi", "tensorrt-llm", "llama.cpp", "ollama"])
@pytest.mark.parametrize("name", NAMES)
def test_need_grows_and_the_pool_that_is_needed_is_enough(name: str, engine: str) -> None:
    cost = cache_cost(architecture(name), Layout(2), 16, engine, batched_tokens=2048)
    needs = [cost.bytes_for(tokens, 4) for tokens in (1, 500, 5000, 50000)]
    assert needs == sorted(needs) and needs[0] > 0
    held = cost.tokens_in(needs[-1], 50000)
    assert held >= 4 * 50000 * (0.45 if cost.sliding else 0.97)
    assert cost.tokens_in(0, 1000) == cost.tokens_in(1000, 0) == 0

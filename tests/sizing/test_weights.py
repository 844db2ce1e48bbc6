"""Weight bytes against published checkpoints and logged starts, and how they split over GPUs."""

from __future__ import annotations

import sys
import timeit
from pathlib import Path
from typing import Any

import pytest
import yaml

sys.path.insert(0, str(Path(__file__).parents[1] / "architecture"))
from model_configs import NAMES, TRUTH, architecture

from generator.quantity import GIB, MIB
from generator.sizing.footprint import Layout
from generator.sizing.tensors import allocated
from generator.sizing.weights import checkpoint_bytes, stage_bounds, weight_bytes

ROOT = Path(__file__).resolve().parents[2]
METHODS: dict[str, Any] = yaml.load((ROOT / "rules/facts/methods.yaml").read_text(encoding="utf-8"), yaml.CSafeLoader)[
    "methods"
]


@pytest.mark.parametrize("row", TRUTH["checkpoints"], ids=lambda row: row["config"])
def test_checkpoint_bytes(row: dict[str, Any]) -> None:
    told = checkpoint_bytes(architecture(row["config"]), {}) / GIB
    assert told + row.get("not_loaded", 0) == pytest.approx(row["gib"], rel=7e-4)


def _start_id(row: dict[str, Any]) -> str:
    parts = [row["config"], row.get("method", "bf16")]
    parts += [f"{key[0]}p{row[key]}" for key in ("tensor_parallel", "pipeline_parallel") if key in row]
    return "-".join(parts)


@pytest.mark.parametrize("row", TRUTH["starts"], ids=_start_id)
def test_logged_starts(row: dict[str, Any]) -> None:
    layout = Layout(row.get("tensor_parallel", 1), row.get("pipeline_parallel", 1))
    method = METHODS[row.get("method", "bf16")]
    told = weight_bytes(architecture(row["config"]), method, layout, row.get("capability", 9.0)) / GIB
    assert told == pytest.approx(row["gib"], rel=2e-3)


@pytest.mark.parametrize("name", NAMES)
def test_splitting_loses_nothing(name: str) -> None:
    """Several GPUs hold together at least what one holds, each of them less than it."""
    found = architecture(name)
    whole = weight_bytes(found, {}, Layout())
    rotary = 2 * found.rotary_dim * found.rotary_rows
    for layout in (Layout(2), Layout(4), Layout(8), Layout(1, 2), Layout(2, 2), Layout(8, 1, True)):
        part = weight_bytes(found, {}, layout)
        assert part < whole
        assert (part - rotary) * layout.gpus >= (whole - rotary) * 0.985


def test_more_gpus_than_kv_heads_repeat_them() -> None:
    """Qwen2.5-7B has 4 KV heads: with 8 GPUs keys and values stop shrinking."""
    found = architecture("Qwen__Qwen2.5-7B-Instruct")
    saved = weight_bytes(found, {}, Layout(4)) - 2 * weight_bytes(found, {}, Layout(8))
    keys = sum(m.parameters for m in found.matrices if m.name in ("attn_k", "attn_v"))
    assert saved < -keys * 2 / 4 * 0.9


def test_experts_stay_whole_with_expert_parallelism() -> None:
    found = architecture("Qwen__Qwen3-30B-A3B")
    split, whole = (weight_bytes(found, {}, Layout(4, 1, ep)) for ep in (False, True))
    assert split == pytest.approx(whole, rel=0.01)
    assert weight_bytes(found, {}, Layout(3, 1, True)) > weight_bytes(found, {}, Layout(4, 1, True))


def test_ranks_of_attention_have_each_their_share_of_the_experts() -> None:
    """What was worked out for a layout without ranks is not taken for the same one with them."""
    found = architecture("Qwen__Qwen3-30B-A3B")
    own: Any = {}
    alone = weight_bytes(found, own, Layout(4, 1, True))
    experts = 2 * sum(m.parameters for m in found.matrices if m.role == "expert")
    assert alone - weight_bytes(found, own, Layout(4, 1, True, data_parallel=2)) == pytest.approx(experts / 4 - experts / 8, rel=0.01)


@pytest.mark.parametrize(
    ("layers", "stages", "bounds"),
    [
        (32, 1, [(0, 32)]),
        (32, 4, [(0, 8), (8, 16), (16, 24), (24, 32)]),
        (61, 4, [(0, 15), (15, 30), (30, 46), (46, 61)]),
        (61, 2, [(0, 31), (31, 61)]),
    ],
)
def test_stages(layers: int, stages: int, bounds: list[tuple[int, int]]) -> None:
    """Left-over layers go before the last stage, as vLLM's get_pp_indices does it."""
    assert stage_bounds(layers, stages) == bounds


def test_a_pipeline_keeps_embeddings_at_its_ends() -> None:
    found = architecture("meta-llama__Llama-3.1-8B-Instruct")
    layers = sum(m.parameters for m in found.matrices if m.role in ("attention", "mlp")) * 2
    embedding = 128256 * 4096 * 2
    assert weight_bytes(found, {}, Layout(1, 4)) == pytest.approx(layers / 4 + embedding + 32 * MIB, rel=1e-3)


def test_four_bits_are_more_than_a_quarter() -> None:
    """Embeddings, lm_head, norms, scales and zero points: Qwen2.5-7B in AWQ is 36 % above bits/16 of its weights."""
    found = architecture("Qwen__Qwen2.5-7B-Instruct")
    assert checkpoint_bytes(found, METHODS["awq"]) / (found.parameters / 2) > 1.35


def test_another_family_is_another_checkpoint() -> None:
    """DeepSeek-V3 is FP8; its AWQ checkpoint is sized by the method, its BF16 copy in 16 bits."""
    found = architecture("deepseek-ai__DeepSeek-V3")
    own, awq, bf16 = (checkpoint_bytes(found, METHODS[m]) for m in ("fp8-block", "awq", "bf16"))
    assert checkpoint_bytes(found, METHODS["fp8"]) == own == checkpoint_bytes(found, {})
    assert bf16 == 2 * found.parameters
    assert awq < 0.6 * own < 0.35 * bf16


@pytest.mark.parametrize(
    ("size", "taken"),
    [
        (100, 512),
        (MIB, MIB),
        (3 * MIB, 3 * MIB),
        (39 * MIB // 4, 10 * MIB),
        (63 * MIB // 2, 32 * MIB),
        (49 * MIB // 2, 49 * MIB // 2),
        (259 * MIB, 260 * MIB),
        (125 * MIB, 126 * MIB),
        (250 * MIB, 250 * MIB),
    ],
)
def test_the_allocator_rounds_up(size: int, taken: int) -> None:
    assert allocated(size) == taken


def test_it_is_cheap() -> None:
    found, method = architecture("deepseek-ai__DeepSeek-V3"), METHODS["fp8-block"]
    layout = Layout(8)
    weight_bytes(found, method, layout)
    took = min(timeit.repeat(lambda: weight_bytes(found, method, layout), number=200, repeat=5)) / 200
    assert took < 30e-6

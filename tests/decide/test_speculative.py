"""Speculative decoding and what else is loaded beside a model: what a spec may ask for, what it costs, what it gains."""

from __future__ import annotations

from typing import Any

import pytest
from plans import book, spec_of

from generator.decide.decision import decide
from generator.errors import InputError
from generator.plan import Plan

GPT_OSS: dict[str, Any] = {
    "model": "openai/gpt-oss-120b", "hardware": {"gpu": "H100-80GB"},
    "workload": {"concurrency": 8, "input_tokens": 500, "output_tokens": 8000, "max_context": 32768},
    "pin": {"engine": "vllm", "kv_cache_dtype": "fp8", "gpu_memory_utilization": 0.94},
}  # fmt: skip
QWEN38: dict[str, Any] = {
    "model": "Qwen/Qwen3.8-27B", "hardware": {"gpu": "RX7900XTX-24GB"}, "workload": {"profile": "dev", "concurrency": 1, "max_context": 131072},
    "pin": {"engine": "llama.cpp", "quantization": "gguf-q4_k_m", "kv_cache_dtype": "q4_0"},
}  # fmt: skip


def planned(spec: dict[str, Any], **serve: object) -> Plan:
    return decide(spec_of({"name": "drafts", **spec, "serve": serve}), book()).plan


def rate(plan: Plan) -> float:
    assert plan.choice is not None and plan.choice.performance is not None and plan.choice.performance.speed is not None
    return plan.choice.performance.speed.output_tokens_per_second.value


@pytest.mark.parametrize(("tokens", "measured"), [(2, 1.19), (3, 1.21), (4, 1.25), (6, 1.15)])
def test_gain_of_a_head_is_near_what_was_measured(tokens: int, measured: float) -> None:
    """gpt-oss-120b on an H100, eight at once, chains of drafted tokens (source `eagle3-gptoss`): within a fifth."""
    drafted = rate(planned(GPT_OSS, speculative={"method": "eagle3", "tokens": tokens}))
    assert drafted / rate(planned(GPT_OSS, speculative="off")) == pytest.approx(measured, rel=0.2)


def test_gain_of_the_layers_of_a_checkpoint_is_near_what_was_measured() -> None:
    """Qwen3.8-27B on a 7900 XTX with llama.cpp: 41 tokens/s, and 85 with three drafted tokens (the field case lcpp-7900xtx-qwen38)."""
    drafted = rate(planned(QWEN38, speculative={"method": "mtp", "tokens": 3}, images=0))
    assert drafted / rate(planned(QWEN38, images=0)) == pytest.approx(85 / 41, rel=0.15)


def test_a_draft_never_gains_where_every_expert_is_met_anyway() -> None:
    """With hundreds of sequences a step computes; more rows only take longer."""
    busy = {**GPT_OSS, "hardware": {"gpu": "H200-141GB"}, "workload": {**GPT_OSS["workload"], "concurrency": 512, "output_tokens": 500}}
    few, many = (rate(planned(spec, speculative="eagle3")) / rate(planned(spec, speculative="off")) for spec in (GPT_OSS, busy))
    assert many < few


def test_memory_of_a_draft_stands_apart() -> None:
    plain, drafted = planned(QWEN38, images=0).choice, planned(QWEN38, speculative="mtp", images=0).choice
    assert plain is not None and drafted is not None and plain.memory is not None and drafted.memory is not None
    assert plain.memory.draft == 0 and drafted.memory.draft > 1e8
    assert drafted.memory.weights == plain.memory.weights
    assert drafted.memory.kv_needed > plain.memory.kv_needed  # the draft's own cache
    assert [term.name for term in drafted.terms][-1] == "draft"


def test_what_is_left_to_the_tool() -> None:
    fast = {**QWEN38, "workload": {**QWEN38["workload"], "goal": "latency"}}
    assert planned(fast, speculative="auto", images=0).choice.speculative == {"method": "mtp", "model": None, "tokens": 3}  # type: ignore[union-attr]
    balanced = planned(QWEN38, speculative="auto", images=0)
    assert balanced.choice is not None and balanced.choice.speculative is None
    no_layers = {"model": "Qwen/Qwen3-8B", "hardware": {"gpu": "L40S-48GB"}, "workload": {"goal": "latency"}}
    found = planned(no_layers, speculative="auto")
    assert found.choice is not None and found.choice.speculative is None and found.spec["serve"] == {"speculative": "auto"}


@pytest.mark.parametrize(
    ("model", "speculative", "code", "words"),
    [
        ("Qwen/Qwen3-8B", "mtp", "no-draft", "no layers that predict"),
        ("Qwen/Qwen3-8B", "eagle3", "no-draft", "name the draft"),
        ("Qwen/Qwen3-8B", {"method": "draft", "model": "Qwen/Qwen3-0.6"}, "unknown-draft", "did you mean 'Qwen/Qwen3-0.6B'"),
        ("Qwen/Qwen3-8B", {"method": "draft", "model": "meta-llama/Llama-3.2-1B-Instruct"}, "draft-vocabulary", "cannot draft for it"),
    ],
)  # fmt: skip
def test_drafts_that_are_refused(model: str, speculative: object, code: str, words: str) -> None:
    with pytest.raises(InputError) as caught:
        planned({"model": model, "hardware": {"gpu": "L40S-48GB"}}, speculative=speculative)
    assert [problem.code for problem in caught.value.problems] == [code]
    assert words in str(caught.value)


def test_adapters_take_room_for_their_rank_and_number() -> None:
    """Llama 3.2 3B, rank 16: 16 · 28 layers · (q 6,144 + k 4,096 + v 4,096 + o 6,144 + three of 11,264) values of 2 bytes, for each slot."""
    spec = {"model": "meta-llama/Llama-3.2-3B-Instruct", "hardware": {"gpu": "L4-24GB"}, "pin": {"engine": "vllm", "quantization": "bf16"}}
    one = planned(spec, adapters={"sql": "my-org/sql"}).choice
    two = planned(spec, adapters={"sql": "my-org/sql", "chat": "/adapters/chat"}, max_adapter_rank=64).choice
    assert one is not None and one.memory is not None and two is not None and two.memory is not None
    assert one.memory.adapters == 2 * 16 * 28 * (6144 + 4096 + 4096 + 6144 + 3 * 11264)
    assert two.memory.adapters == 8 * one.memory.adapters
    assert list(two.settings["lora_modules"]) == ["sql=my-org/sql", "chat=/adapters/chat"]  # type: ignore[arg-type]

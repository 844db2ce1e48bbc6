"""A config from the internet may hold anything: it is read or refused, soon, and never crashes."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))
from model_configs import NAMES, config

from generator.architecture.config import from_config
from generator.architecture.families import FAMILIES, TEXT_OF
from generator.architecture.shape import ModelArchitecture
from generator.engines import cache_cost
from generator.errors import InputError
from generator.sizing.footprint import Layout
from generator.sizing.weights import weight_bytes

SMALL = [name for name in NAMES if "Nemotron-Super" not in name and "Qwen3.6" not in name and "FP8" not in name]
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([0, -1, 1, 2, 7, 10**9, 10**400, 1e308, -0.5]),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(["full_attention", "sliding_attention", "linear_attention", "M*E-", "yarn", "re:(a+)+$", "*"]),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=6), inner, max_size=4)),
    max_leaves=8,
)


def size_up(values: Any) -> None:
    """Read a config and, where that works, everything that sizing does with it."""
    start = time.process_time()
    try:
        found = from_config(values)
    except InputError as error:
        codes = {"unknown-architecture", "bad-model-config", "unknown-quantization"}
        assert {problem.code for problem in error.problems} <= codes
    else:
        assert isinstance(found, ModelArchitecture)
        layout = Layout(8, 3)
        assert weight_bytes(found, {}, layout) > 0
        for engine in ("vllm", "sglang", "llama.cpp"):
            cost = cache_cost(found, layout, 8.5, engine)
            assert cost.bytes_for(1000, 3) >= 0 and cost.tokens_in(10**9, 1000) >= 0
    assert time.process_time() - start < 2


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(name=st.sampled_from(SMALL), data=st.data())
def test_one_or_two_values_changed(name: str, data: st.DataObject) -> None:
    values = config(name)
    for _ in range(data.draw(st.integers(1, 2))):
        place: Any = values
        while True:
            key = data.draw(st.sampled_from(sorted(place)))
            inside = place[key]
            if not (isinstance(inside, dict) and inside and data.draw(st.booleans())):
                break
            place = inside
        if data.draw(st.booleans()):
            place[key] = data.draw(VALUES)
        else:
            del place[key]
            if not place:
                break
    size_up(values)


@settings(max_examples=100, deadline=None)
@given(kind=st.sampled_from([*FAMILIES, *TEXT_OF]), values=st.dictionaries(st.text(max_size=12), VALUES, max_size=6))
def test_nothing_but_a_model_type(kind: str, values: dict[str, Any]) -> None:
    size_up({**values, "model_type": kind})


@given(values=VALUES)
@settings(max_examples=50, deadline=None)
def test_anything_at_all(values: Any) -> None:
    size_up(values)


@pytest.mark.parametrize(
    "pattern", ["re:(a+)+$", "re:" + "(" * 200, "re:.*.*.*.*.*.*.*x", "re:[", "re:a{1,100000}{1,100000}"]
)
def test_module_patterns_cannot_run_away(pattern: str) -> None:
    values = config("moonshotai__Kimi-K2.5")
    values["text_config"]["quantization_config"]["ignore"] = [pattern]
    with pytest.raises(InputError, match="module pattern"):
        from_config(values)


def test_many_layers_and_long_lists_are_read_quickly() -> None:
    values = config("meta-llama__Llama-3.1-8B-Instruct")
    values |= {"num_hidden_layers": 4096, "layer_types": ["full_attention"] * 10**6}
    values |= {"num_local_experts": 8, "num_experts_per_tok": 2, "moe_layers": list(range(10**6))}
    size_up(values)
    pattern = config("nvidia__NVIDIA-Nemotron-3-Nano-30B-A3B-BF16") | {"hybrid_override_pattern": "M" * 10**7}
    size_up(pattern)

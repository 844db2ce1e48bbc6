"""The quick yes of `schema_check` against a real validator: it never accepts what draft 2020-12 refuses."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from jsonschema.validators import Draft202012Validator

from generator.rulebook.schemas import accepts
from generator.spec.deployment import schema

VALIDATOR = Draft202012Validator(schema())

GOOD: dict[str, Any] = {
    "version": 1,
    "name": "support-chat",
    "model": {"id": "my-org/my-model", "revision": "3f1c", "config": "./config.json", "checkpoints": {"awq": "my-org/my-model-AWQ"}},
    "hardware": {"gpu": "A100-80GB", "gpus_per_node": 2, "nodes": 1, "memory_gib": 79.25, "interconnect": "nvlink", "host_memory_gib": 256,
        "host_bandwidth_gb_per_s": 80.5},
    "workload": {"profile": "chat", "concurrency": 32, "input_tokens": 1500, "output_tokens": 400, "max_context": 16384, "ttft_ms": 1000},
    "pin": {"engine": "vllm", "engine_version": "0.33.0", "quantization": "awq", "gpu_memory_utilization": 0.9, "enforce_eager": False},
    "deploy": {"targets": ["script", "compose"], "port": 8000, "env": {"A": "b"}, "extra_args": {"vllm": {"enable-lora": True}}},
}
CUSTOM: dict[str, Any] = {"model": "a/b", "hardware": {"gpu": {"memory_gib": 24, "compute_capability": 8.9, "unified_memory": True}}}

ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 200_000_000_000),
    st.floats(allow_nan=False),  # YAML 1.2's core schema has none that we read, and the validator takes it for in range
    st.sampled_from(["", "max", "chat", "vllm", "awq", "A b", "-x", "a\n", "é", "nvlink", "script", "1.0", "x" * 600]),
    st.just([]),
    st.just({}),
    st.lists(st.sampled_from(["script", "compose", 1, True]), max_size=3),
    st.dictionaries(st.sampled_from(["id", "gpu", "vllm", "A", "a b", "memory_gib"]), st.sampled_from(["x", 1, True, None, [1], {"a": [True]}]), max_size=3),
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every path in the data."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for key, item in inner for found in places(item, (*path, key)))]


PLACES = [(spec, path) for spec in (GOOD, CUSTOM) for path in places(spec) if path]
KEYS = sorted({key for part in ("model", "hardware", "workload", "pin", "deploy") for key in [part, *schema()["properties"][part].get("properties", {})]})


def changed(spec: dict[str, Any], path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    """The spec with another value at a path."""
    result = copy.deepcopy(spec)
    at: Any = result
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = value
    return result


def agree(data: Any) -> None:
    """An accepted spec is right; and what is right is accepted, or the quick check would be for nothing."""
    assert accepts(schema(), data) == VALIDATOR.is_valid(data), data


@pytest.mark.parametrize("spec", [GOOD, CUSTOM], ids=["full", "custom GPU"])
def test_good_specs_are_accepted(spec: dict[str, Any]) -> None:
    assert accepts(schema(), spec)
    VALIDATOR.validate(spec)


@given(where=st.sampled_from(PLACES), value=ODD)
@example(where=(GOOD, ("version",)), value=True)
@example(where=(GOOD, ("version",)), value=1.0)
@example(where=(GOOD, ("hardware", "nodes")), value=2.0)
@example(where=(GOOD, ("hardware", "nodes")), value=True)
@example(where=(GOOD, ("hardware", "memory_gib")), value=float("inf"))
@example(where=(GOOD, ("deploy", "targets")), value=["script", "script"])
@example(where=(GOOD, ("name",)), value="support\n")
def test_any_value_anywhere(where: tuple[dict[str, Any], tuple[Any, ...]], value: Any) -> None:
    agree(changed(*where, value))


@given(spec=st.sampled_from([GOOD, CUSTOM]), part=st.sampled_from(["", "model", "hardware", "workload", "pin", "deploy"]), key=st.sampled_from(KEYS), value=ODD)
def test_any_key_anywhere(spec: dict[str, Any], part: str, key: str, value: Any) -> None:
    result = copy.deepcopy(spec)
    at = result if not part else result.setdefault(part, {})
    if isinstance(at, dict):
        at[key] = value
    agree(result)


@pytest.mark.parametrize("where", PLACES, ids=lambda where: ".".join(map(str, where[1])))
def test_any_part_may_be_missing(where: tuple[dict[str, Any], tuple[Any, ...]]) -> None:
    spec, path = copy.deepcopy(where[0]), where[1]
    at: Any = spec
    for key in path[:-1]:
        at = at[key]
    del at[path[-1]]
    agree(spec)


@pytest.mark.parametrize(
    ("rule", "value"),
    [({"oneOf": [True]}, 1), ({"$ref": "#"}, 1), ({"not": False}, 1), ({"patternProperties": {}}, {}), ({"const": [1]}, [1]), ({"contains": True}, [1])],
)
def test_what_it_does_not_know_is_left_to_the_validator(rule: dict[str, Any], value: Any) -> None:
    assert not accepts(rule, value)


CONDITION = {"if": {"pattern": "^a"}, "then": {"maxLength": 1}, "else": {"minLength": 2}}


@pytest.mark.parametrize("value", ["a", "ab", "b", "bc", 1])
def test_a_condition_is_never_taken_too_easily(value: Any) -> None:
    assert not accepts(CONDITION, value) or Draft202012Validator(CONDITION).is_valid(value)

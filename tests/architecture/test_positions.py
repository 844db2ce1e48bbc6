"""The context that a config's rope scaling gives, by the readings of engines, and lists where most configs have a number."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from model_configs import config
from shipped_families import from_config

from generator.errors import InputError
from generator.facts.engine import resolve_engine
from generator.rulebook.book import load

YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768}


@pytest.mark.parametrize(
    ("said", "context", "yarn"),
    [
        ({"rope_scaling": None}, 40960, 0),
        ({"rope_scaling": YARN}, 40960, 131072),
        ({"rope_scaling": None, "rope_parameters": YARN}, 40960, 131072),
        ({"rope_scaling": YARN, "max_position_embeddings": 131072}, 131072, 131072),
        ({"rope_scaling": {"type": "yarn", "factor": 4.0}}, 40960, 163840),
        ({"rope_scaling": YARN, "max_position_embeddings": None}, 131072, 131072),
        ({"rope_scaling": {"rope_type": "linear", "factor": 2.0}}, 81920, 0),
        ({"rope_scaling": {"rope_type": "dynamic", "factor": 2.0}}, 81920, 0),
        ({"rope_scaling": {"rope_type": "llama3", "factor": 8.0, "original_max_position_embeddings": 8192}}, 40960, 0),
        ({"rope_scaling": {"type": "longrope", "original_max_position_embeddings": 4096}}, 40960, 0),
        ({"rope_scaling": None, "rope_parameters": {"sliding_attention": {"rope_type": "default"}, "full_attention": YARN}}, 40960, 131072),
        ({"rope_scaling": {"rope_type": "yarn", "factor": 1e6, "original_max_position_embeddings": 1 << 32}}, 40960, 1 << 32),
    ],
)
def test_context(said: dict[str, Any], context: int, yarn: int) -> None:
    found = from_config({**config("Qwen__Qwen3-32B"), "max_position_embeddings": 40960, **said})
    assert (found.max_context, found.yarn_context) == (context, yarn)
    assert found.rotary_rows in (max(context, yarn), 2 * max(context, yarn))  # two tables where kinds of layers differ


@pytest.mark.parametrize(
    ("engine", "version", "context"),
    [("vllm", "0.10.0", 131072), ("vllm", "0.29.0", 131072), ("vllm", "0.30.0", 40960), ("sglang", "0.5.23", 40960), ("vllm", "0.29.1", 131072)],
)
def test_yarn_is_read_as_the_version_does(engine: str, version: str, context: int) -> None:
    shape = from_config({**config("Qwen__Qwen3-32B"), "max_position_embeddings": 40960, "rope_scaling": YARN})
    resolved = resolve_engine(engine, version, load("default"))
    assert resolved.longest_context(shape) == context
    assert resolved.longest_context(from_config(config("Qwen__Qwen3-32B"))) == 40960


def test_models_that_state_the_scaled_length_are_read_alike_by_all() -> None:
    """A catalogue entry for which the readings differ would be planned at one length and refused at start at another."""
    from generator.facts.model import shape_of

    book = load("default")
    shapes = {name: shape_of(name, book) for name in book.section("models")}
    scaled = {name: shape for name, shape in shapes.items() if shape is not None and shape.yarn_context}
    assert len(scaled) > 10
    assert {name: (shape.max_context, shape.yarn_context) for name, shape in scaled.items() if shape.max_context != shape.yarn_context} == {}


@pytest.mark.parametrize(("value", "same"), [([14, 14], True), ([14], True), ([14, 16], False), ([], False), ([[14, 14]], False)])
def test_a_list_of_equal_numbers_is_that_number(value: list[Any], same: bool) -> None:
    changed = config("google__medgemma-27b-it")
    changed["vision_config"]["patch_size"] = value
    if same:
        assert from_config(changed).parameters == from_config(config("google__medgemma-27b-it")).parameters
        return
    with pytest.raises(InputError, match="patch_size must be a whole number"):
        from_config(changed)

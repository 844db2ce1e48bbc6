"""The tables of layers and towers: their form, and that each name in them stands for something."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from generator.architecture.attention import Heads
from generator.architecture.experts import Experts
from generator.architecture.families import Family
from generator.architecture.fields import Fields
from generator.architecture.tables import Sizes, parts_of, tables
from generator.errors import InputError
from generator.readers.resources import shipped
from generator.rulebook.book import load

ROOT = Path(__file__).resolve().parents[2]
GIVEN = {
    "tower": {"text_hidden", "text_width", "image_tokens"}, "audio tower": {"text_hidden"}, "projector": {"text_hidden", "hidden"}, "state": {"hidden"},
    "part": {"hidden", "query", "lora", "dim", "ratio", "width", "gate_head", "gate_full"},
}  # fmt: skip
"""Sizes that the code brings, by what a table is."""
HEADS = {field.name for kind in (Heads, Family, Experts) for field in dataclasses.fields(kind)}
"""What a table of attention or of a feed-forward layer reads of heads, traits and experts."""
MORE = {
    "kimi-delta": {"whole_layer", "whole_gate"}, "grouped": {*HEADS, "own_value", "norm_head", "norm_full"}, "feed-forward": HEADS,
    "experts": {*HEADS, "inner"}, "experts' surroundings": {*HEADS, "inner"}, "per-layer input": {"moe"},
    "before the layers": {"vocab", "tokens", "layers", "learned"}, "after the layers": {*HEADS, "vocab", "compressed"},
}  # fmt: skip
READ = {"largest_image", "outputs", "interpolated", "patches_of_token", "conv_values", "ssm_values", "rank", "rope", "window", "dim", "lora"}
"""Sizes that the code reads."""
SHARED = {"block", "conformer block", "streams out"}
"""Tables without sizes of their own, which are read with those of another."""


def words(said: object) -> Iterator[str]:
    """The sizes that a size or a part names."""
    if isinstance(said, str):
        yield from (word for word in re.split(r" [*+] ", said) if not word.lstrip("-").isdigit())
    elif isinstance(said, dict):
        for key in ("rows", "columns", "count", "heads", "bias", "of", "over", "default", "if", "none"):
            if key in said and not (key == "count" and "rows" not in said) and (key != "default" or "keys" in said):
                yield from words(said[key])
        for one in said.get("most", ()):
            yield from words(one)


def whole(name: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Sizes and parts of a table with those that it takes over."""
    table = tables()[name]
    sizes, parts = whole(table["like"]) if "like" in table else ({}, [])
    return {**sizes, **table.get("sizes", {})}, table.get("parts", parts)


def test_the_tables_have_the_form_that_the_schema_says() -> None:
    schema = json.loads((ROOT / "rules/schemas/parts.json").read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    assert [error.message for error in Draft202012Validator(schema).iter_errors(tables())] == []


@pytest.mark.parametrize("name", ["layers", "typical"])
def test_tables_beside_them_have_the_form_that_their_schema_says(name: str) -> None:
    Draft202012Validator(shipped(f"schemas/{name}.json")).validate(shipped(f"{name}.json"))


def test_every_table_has_a_source() -> None:
    assert {table["source"] for table in tables().values()} <= set(load("default").section("sources"))


@pytest.mark.parametrize("name", sorted(set(tables()) - SHARED))
def test_every_name_in_a_table_is_a_size_and_every_size_is_used(name: str) -> None:
    sizes, rows = whole(name)
    rows = [inner for row in rows for inner in (tables()[row["like"]]["parts"] if "like" in row else [row])]
    if name == "streams":
        rows = [*rows, *tables()["streams out"]["parts"]]
    named = {word for one in (*sizes.values(), *rows) for word in words(one)}
    assert named <= {*sizes, *GIVEN[tables()[name]["is"]], *MORE.get(name, ())}
    assert {*tables()[name].get("sizes", ())} <= named | READ


def test_a_sum_of_products() -> None:
    sizes = Sizes("compressor", Fields({}), {"hidden": 8, "dim": 4, "ratio": 2, "width": 3})
    assert sizes.length("2 * hidden * dim + -1 * width + 7") == 2 * 8 * 4 - 3 + 7
    assert [part.rows for part in parts_of("compressor", sizes, "attention")] == [3, 3, 2, 4]


def test_a_missing_key_is_named() -> None:
    with pytest.raises(InputError, match="conv_L_cache is missing"):
        Sizes("short-conv", Fields({}), {"hidden": 8})

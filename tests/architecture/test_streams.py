"""Models with mixed residual streams and a lookup table of n-grams: what the config must say, and how and where the table is kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from shipped_families import from_config

from generator.architecture.shape import ModelArchitecture
from generator.decide.context import Context
from generator.decide.decision import decide
from generator.decide.weigh import served
from generator.errors import InputError
from generator.facts.engine import resolve_engine
from generator.facts.model import config_of
from generator.readers.document import Document
from generator.rulebook.book import load
from generator.spec.deployment import from_document

MODEL = "Qwen/Qwen3.8-Flash-Next"
ROWS, WIDTH = 320_001_536, 160
"""Of the published table, as its safetensors headers say."""


def _config(**text: object) -> dict[str, Any]:
    config = config_of(MODEL, load("default"))
    assert config is not None
    inner = config["text_config"]
    assert isinstance(inner, dict)
    return {**config, "text_config": {**inner, **text}}


def _tables(found: ModelArchitecture) -> list[Any]:
    return [m for m in found.matrices if m.role == "lookup"]


def test_the_table_has_the_rows_of_the_published_one() -> None:
    (table,) = _tables(from_config(_config()))
    assert table.columns == WIDTH
    assert table.rows == pytest.approx(ROWS, rel=1e-5)
    assert (table.layer_first, table.layer_last) == (1, 1)


@pytest.mark.parametrize(
    ("quantization", "bits"),
    [
        ({"quant_method": "fp8", "weight_block_size": [128, 128]}, 8),
        ({"quant_method": "fp8", "weight_block_size": [128, 128], "modules_to_not_convert": ["model.layers.1.ple"]}, None),
        ({"quant_method": "awq", "bits": 4, "group_size": 128}, None),
        ({"quant_method": "modelopt", "quant_algo": "NVFP4"}, None),
    ],
)
def test_only_checkpoints_in_fp8_blocks_have_the_table_in_fp8(quantization: dict[str, object], bits: int | None) -> None:
    (table,) = _tables(from_config({**_config(), "quantization_config": quantization}))
    assert (table.storage and table.storage.bits) == bits


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ({"ple_layer_ids": [0]}, "ple_layer_ids must name layers from 1 to 48"),
        ({"ple_layer_ids": [49]}, "ple_layer_ids must name layers from 1 to 48"),
        ({"ple_layer_ids": "2"}, "ple_layer_ids must be a list"),
        ({"ngram_vocab_size_base": None}, "ngram_vocab_size_base is missing"),
        ({"hc_lowrank": None}, "hc_lowrank is missing"),
        ({"indexer_compress_ratio": 0}, "indexer_compress_ratio must lie between 1 and"),
    ],
)
def test_what_the_config_says_is_checked(text: dict[str, object], says: str) -> None:
    with pytest.raises(InputError, match=says):
        from_config(_config(**text))


def test_without_a_table_and_streams_it_is_a_plain_hybrid() -> None:
    assert not _tables(from_config(_config(ple_layer_ids=[])))
    names = {m.name for m in from_config(_config(ple_layer_ids=[], hc_count=None)).matrices}
    assert not {name for name in names if name.startswith(("hc_", "ple_"))}


def _context(gpu: str) -> Context:
    spec, _ = from_document(Document("s.yaml", {"model": MODEL, "hardware": {"gpu": gpu}}, {}, {}), Path("s.yaml"))
    assert spec is not None
    return decide(spec, load("default")).context


@pytest.mark.parametrize(
    ("engine", "version", "gpu", "in_host"),
    [
        ("vllm", "0.29.0", "H200-141GB", False),
        ("vllm", "0.30.0", "H200-141GB", True),
        ("vllm", "0.30.0", "MI300X-192GB", False),
        ("vllm", "0.31.0", "MI300X-192GB", True),
        ("vllm", "0.33.0", "GB10-128GB", False),  # one memory: what lies in the host's is not free for the GPU
        ("sglang", "0.5.23", "H200-141GB", False),
    ],
)
def test_where_the_table_lies(engine: str, version: str, gpu: str, in_host: bool) -> None:
    book = load("default")
    loaded = served(_context(gpu), resolve_engine(engine, version, book)).model.architecture
    assert bool(loaded.in_host) is in_host
    assert bool(_tables(loaded)) is not in_host
    whole = from_config(_config())
    assert loaded.parameters == whole.parameters

"""What ModelOpt's checkpoints say of themselves: hf_quant_config.json beside a config, algorithms, mixtures and scales of the KV cache."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

sys.path.insert(0, str(Path(__file__).parent))
from model_configs import config
from shipped_families import from_config

from generator.architecture import quantization
from generator.architecture.quantization import with_quant_file
from generator.architecture.shape import CheckpointQuantization
from generator.errors import InputError
from generator.readers.resources import shipped
from generator.rulebook.book import load

LLAMA = "meta-llama__Llama-3.1-8B-Instruct"
FILE = {"producer": {"name": "modelopt", "version": "0.29.0"}, "quantization": {"quant_algo": "NVFP4", "group_size": 16, "exclude_modules": ["lm_head"]}}


def read(quantization: dict[str, Any] | None, name: str = LLAMA) -> CheckpointQuantization | None:
    return from_config(with_quant_file(config(name), None if quantization is None else {"quantization": quantization})).quantization


def test_the_file_counts_where_the_config_says_nothing() -> None:
    plain = from_config(config(LLAMA))
    beside = from_config(with_quant_file(config(LLAMA), FILE))
    assert with_quant_file(config(LLAMA), None) == config(LLAMA)
    assert plain.quantization is None and beside.quantization is not None
    assert (beside.quantization.method, beside.quantization.layout, beside.quantization.group_size) == ("nvfp4", "modelopt", 16)
    assert {m.role for m in beside.matrices if m.storage} == {"attention", "mlp"} and beside.parameters == plain.parameters


@pytest.mark.parametrize("key", ["quantization_config", "compression_config"])
def test_what_the_config_says_goes_before_the_file(key: str) -> None:
    said = {**config(LLAMA), key: {"quant_method": "fp8"}}
    assert with_quant_file(said, FILE) == said


@pytest.mark.parametrize(
    ("algorithm", "method", "layout"),
    [
        ("FP8", "fp8", "modelopt"),
        ("fp8_pb_wo", "fp8-block", "modelopt-fp8-variant"),
        ("FP8_PER_CHANNEL_PER_TOKEN", "fp8", "modelopt-fp8-variant"),
        ("NVFP4", "nvfp4", "modelopt"),
        ("W4A16_NVFP4", "nvfp4", "modelopt-w4a16"),
        ("MXFP8", "fp8", "modelopt-mxfp8"),
        ("W4A16_AWQ", "awq", "modelopt"),
        ("W4A8_AWQ", "awq", "modelopt-w4a8"),
    ],
)
def test_each_algorithm_has_a_method_and_a_layout(algorithm: str, method: str, layout: str) -> None:
    found = read({"quant_algo": algorithm})
    assert found is not None and (found.method, found.layout) == (method, layout)


@pytest.mark.parametrize(
    ("algorithms", "method", "layout"),
    [
        (["FP8", "NVFP4"], "nvfp4", "modelopt-mixed"),
        (["FP8", "W4A16_NVFP4"], "nvfp4", "modelopt-mixed-w4a16"),
        (["MXFP8", "NVFP4"], "nvfp4", "modelopt-mixed-mxfp8"),
        (["MXFP8", "W4A16_NVFP4"], "nvfp4", "modelopt-mixed-other"),
        (["FP8", "FP8_PB_WO"], "fp8", "modelopt-mixed-other"),
    ],
)
def test_a_mixture_is_named_by_the_formats_that_an_engine_needs(algorithms: list[str], method: str, layout: str) -> None:
    first, second = algorithms
    listed = {f"model.layers.{i}.{part}": {"quant_algo": word} for i in range(32) for part, word in (("self_attn", first), ("mlp", second))}
    found = read({"quant_algo": "MIXED_PRECISION", "quantized_layers": listed})
    assert found is not None and (found.method, found.layout) == (method, layout)


def test_experts_in_nvfp4_inside_a_checkpoint_in_fp8_blocks() -> None:
    changed = config("deepseek-ai__DeepSeek-V3")
    layers = {f"model.layers.{i}.mlp.experts": {"quant_algo": "NVFP4", "group_size": 16} for i in range(3, 61)}
    changed["quantization_config"] |= {"quant_algo": "MIXED_PRECISION", "moe_quant_algo": "NVFP4", "quantized_layers": layers}
    found = from_config(changed)
    assert found.quantization is not None and (found.quantization.method, found.quantization.layout) == ("nvfp4", "fp8-nvfp4")
    assert {m.role: m.storage.bits for m in found.matrices if m.storage} == {"attention": 8, "mlp": 8, "expert": 4, "shared_expert": 8}


@pytest.mark.parametrize(
    ("said", "scales"),
    [
        ({"kv_cache_quant_algo": "FP8"}, True),
        ({"kv_cache_quant_algo": None}, False),
        ({"kv_cache_scheme": {"num_bits": 8, "type": "float", "dynamic": False}}, True),
        ({"kv_cache_scheme": {"num_bits": 8, "type": "int"}}, False),
        ({"kv_cache_scheme": "FP8"}, True),
        ({}, False),
    ],
)
def test_scales_of_the_cache(said: dict[str, Any], scales: bool) -> None:
    found = read({"quant_algo": "FP8", **said})
    assert found is not None and found.fp8_cache is scales


def test_a_file_that_says_that_nothing_is_quantized() -> None:
    assert read({"quant_algo": None, "kv_cache_quant_algo": "FP8"}) is None


@pytest.mark.parametrize(
    ("quantization", "words"),
    [({"quant_algo": "MAGIC"}, "'MAGIC' is not known"), ({"quant_algo": "MIXED_PRECISION"}, "needs quantized_layers")],
)
def test_what_is_not_understood_is_refused(quantization: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        read(quantization)


def test_the_names_of_quantizations_have_the_form_that_the_schema_says() -> None:
    known = shipped("quantizations.json")
    Draft202012Validator(shipped("schemas/quantizations.json")).validate(known)
    assert {one["stored"] for one in known["modelopt"].values()} <= set(known["stored"])
    assert {one["method"] for one in known["modelopt"].values()} <= set(load("default").section("methods"))
    assert set(known["forms"]) == set(quantization._READERS)

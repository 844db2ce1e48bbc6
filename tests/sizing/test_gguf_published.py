"""GGUF files of catalogued models: the sizes that pages state, the headers that are known, and the formula where neither is."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "decide"))
from plans import book, spec_of

from generator.architecture.shape import ModelArchitecture, Stored
from generator.decide.context import Context, resolve
from generator.decide.weigh import gguf_of, weights_on_gpu
from generator.facts.model import resolve_model, shape_of
from generator.quantity import GIB
from generator.sizing.footprint import Layout
from generator.sizing.gguf import gguf_bytes

OFF = re.compile(r"fitted to ([0-9]+) published files, the worst off by ([0-9]+) %")
OTHERWISE = ("google/gemma-4-E2B-it", "google/gemma-4-E4B-it", "nvidia/NVIDIA-Nemotron-3-Nano-30B-A3B-BF16")
"""Embeddings of each layer that have types of their own; experts whose rows no block of 256 divides."""

GPT_OSS_120B = {
    "q2_k": 58.27, "q3_k_s": 58.27, "q3_k_m": 58.33, "q4_0": 58.32, "q4_1": 58.41, "q4_k_s": 58.45, "q4_k_m": 58.46,
    "q5_k_s": 58.56, "q5_k_m": 58.57, "q6_k": 58.94, "q8_0": 59.03, "f16": 60.88, "mxfp4": 59.02,
}  # fmt: skip
"""GiB by type, of unsloth/gpt-oss-120b-GGUF and of ggml-org's (mxfp4), as its header says in a log of llama-bench."""


class Row(NamedTuple):
    """A file of the catalogue and its size as published, in GiB."""

    model: str
    method: str
    gib: float


def shape(model: str) -> ModelArchitecture:
    found = shape_of(model, book())
    assert found is not None
    return found


def formula(model: str, method: str) -> float:
    """GiB of a file of this type by its mixture alone."""
    return gguf_bytes(shape(model), book().section("methods")[method], book().section("ggml_types"), "iq" in method) / GIB


def published() -> list[Row]:
    rows = []
    for name, entry in book().section("models").items():
        for method, listed in (entry.get("checkpoints") or {}).items():
            for one in listed if isinstance(listed, list) else [listed]:
                if method.startswith("gguf"):
                    rows += [Row(name, f"gguf-{word}", gib) for word, gib in (one.get("gib") or {}).items()]
    return rows


@pytest.mark.parametrize(("word", "gib"), GPT_OSS_120B.items())
def test_every_type_of_gpt_oss_keeps_its_experts(word: str, gib: float) -> None:
    assert formula("openai/gpt-oss-120b", f"gguf-{word}") == pytest.approx(gib, rel=0.001)


def test_a_finetune_in_16_bits_has_experts_of_the_type() -> None:
    config: dict[str, Any] = dict(book().section("models")["openai/gpt-oss-20b"]["config"] or {})
    del config["quantization_config"]
    from generator.architecture.config import from_config

    wide = from_config(config, book().section("families"))
    types, method = book().section("ggml_types"), book().section("methods")["gguf-q8_0"]
    assert gguf_bytes(wide, method, types) > 1.6 * gguf_bytes(shape("openai/gpt-oss-20b"), method, types)


def test_dynamic_types_are_off_by_no_more_than_their_notes_say() -> None:
    rows = [row for row in published() if row.method.startswith("gguf-ud-") and row.model not in OTHERWISE and row.gib >= 5]
    assert len(rows) > 100
    wrong = []
    for row in rows:
        said = OFF.search(str(book().section("methods")[row.method].get("notes", "")))
        assert said is not None, row.method
        off = 100 * abs(formula(row.model, row.method) / row.gib - 1)
        if off > float(said[2]) + 5 / row.gib:  # the published figure is rounded to a tenth
            wrong.append((row, round(off, 1)))
    assert wrong == []


def test_plain_types_are_nearer() -> None:
    rows = [row for row in published() if not row.method.startswith(("gguf-ud-", "gguf-mxfp4")) and row.model not in OTHERWISE and row.gib >= 10]
    assert len(rows) > 50
    assert median(abs(formula(row.model, row.method) / row.gib - 1) for row in rows) < 0.01


def test_a_published_size_goes_before_the_formula() -> None:
    model = resolve_model(spec_of({"model": "google/gemma-4-E2B-it", "hardware": {"gpu": "RTX3060-12GB"}}), book())
    sizes = {row.method: row.gib for row in published() if row.model == "google/gemma-4-E2B-it"}
    assert {method: model.checkpoints[method].size for method in sizes} == {method: round(gib * GIB) for method, gib in sizes.items()}


def test_a_named_repository_of_the_catalogue_is_known_by_its_size() -> None:
    spec = {"model": {"id": "Qwen/Qwen3.6-27B", "checkpoints": {"gguf-iq4_xs": "unsloth/Qwen3.6-27B-GGUF", "gguf-q6_k": "me/mine"}}, "hardware": {"gpu": "cpu"}}
    found = resolve_model(spec_of(spec), book()).checkpoints
    assert (found["gguf-iq4_xs"].origin, found["gguf-iq4_xs"].size) == ("named", round(14.4 * GIB))
    assert (found["gguf-q6_k"].origin, found["gguf-q6_k"].size) == ("named", 0)


def with_header(context: Context, method: str, tensors: tuple[Stored, ...]) -> Context:
    """As a lock that knows the header of a published checkpoint hands it in."""
    checkpoint = replace(context.model.checkpoints[method], tensors=tensors)
    return replace(context, model=replace(context.model, checkpoints={**context.model.checkpoints, method: checkpoint}), memo={})


def test_a_header_of_a_published_checkpoint_goes_before_all() -> None:
    method, layers = "gguf-ud-q4_k_xl", tuple(range(64))
    tensors = (
        Stored("token_embd", "embedding", (), "q6_K", 1000), Stored("output", "lm_head", (), "q6_K", 700), Stored("output_norm", "norm", (), "f32", 3),
        Stored("ffn_up", "mlp", layers, "q4_K", 100), Stored("attn_v", "attention", (3, 7), "q8_0", 50), Stored("nextn.eh_proj", "mtp", (64,), "q8_0", 9_999),
    )  # fmt: skip
    context = with_header(resolve(spec_of({"model": "Qwen/Qwen3.6-27B", "hardware": {"gpu": "RTX3090-24GB"}}), book()), method, tensors)
    sizes = gguf_of(context, method)
    assert (sizes.embedding, sizes.output, sizes.file, sizes.largest) == (1000, 703, 1703 + 6400 + 100, 100)
    assert [size for size in sizes.layers if size != 100] == [150, 150]
    assert weights_on_gpu(context, method, Layout()) == 6400 + 100 + 703
    assert weights_on_gpu(context, method, Layout(pipeline_parallel=2)) == max(33 * 100 + 100, 31 * 100 + 703)

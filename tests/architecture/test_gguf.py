"""GGUF headers as architectures: exact bytes, what layers keep, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from gguf_file import F16, F32, LLAMA, Shape, llama_tensors, write
from jsonschema import Draft202012Validator
from shipped_families import from_gguf

from generator.architecture.shape import CacheGroup, ModelArchitecture
from generator.errors import InputError
from generator.readers.gguf_header import GgufHeader, GgufTensor, read_gguf
from generator.readers.resources import shipped
from generator.sizing.gguf import stored_sizes

Kind = tuple[int, int, int]
ROOT = Path(__file__).resolve().parents[2]


def read(folder: Path, metadata: dict[str, Any], tensors: list[tuple[str, Shape, Kind]]) -> ModelArchitecture:
    return from_gguf(read_gguf(write(folder / "m.gguf", metadata, tensors)))


def small(arch: str, layers: list[list[str]], **keys: Any) -> tuple[dict[str, Any], list[tuple[str, Shape, Kind]]]:
    """A model whose layers have the named tensors, each 64 values wide and high."""
    base = {"block_count": len(layers), "embedding_length": 64, "attention.head_count": 4, "attention.head_count_kv": 2}
    named = {k.replace("__", "."): v for k, v in keys.items()}
    metadata = {"general.architecture": arch} | {f"{arch}.{k}": v for k, v in (base | named).items()}
    tensors: list[tuple[str, Shape, Kind]] = [("token_embd.weight", (64, 100), F16)]
    for number, words in enumerate(layers):
        tensors += [(f"blk.{number}.{word}.weight", (64, 64), F16) for word in [*words, "ffn_down"]]
    return metadata, tensors


ATTENTION = ["attn_q", "attn_k", "attn_v", "attn_output"]


def kept(folder: Path, arch: str, layers: list[list[str]], **keys: Any) -> dict[str, int]:
    """Layers by what they keep."""
    metadata, tensors = small(arch, layers, **keys)
    return {_word(group): group.layers for group in read(folder, metadata, tensors).caches}


def _word(group: CacheGroup) -> str:
    return f"{group.kind}:{group.window or group.latent_dim or group.state_bytes or group.kv_heads}"


def test_llama(tmp_path: Path) -> None:
    model = read(tmp_path, LLAMA, llama_tensors())
    assert (model.layers, model.hidden_size, model.vocab_size, model.max_context) == (2, 256, 300, 4096)
    assert (model.attention_heads, model.kv_heads, model.head_dim, model.intermediate_size) == (4, 2, 64, 512)
    assert model.caches == (CacheGroup("full", 2, 2, 64, 64),)
    assert (model.basis, model.gguf_type, model.tied_embeddings, model.moe) == ("gguf", "gguf-q4_k_m", False, False)
    weights = 300 * 144 + 300 * 210 + 5 * 256 * 4
    weights += 2 * ((256 + 128 + 128 + 256 + 512 + 512) * 144 + 256 * 2 * 210)
    assert model.tensor_bytes == weights
    assert model.quantization is not None and model.quantization.layout == "gguf"
    assert model.parameters == 2 * 300 * 256 + 5 * 256 + 2 * (256 * 768 + 3 * 256 * 512)
    down = next(m for m in model.matrices if m.name == "ffn_down")
    assert (down.rows, down.columns, down.count, down.layer_first, down.layer_last) == (256, 512, 2, 0, 1)


def test_experts(tmp_path: Path) -> None:
    metadata, tensors = small("llama", [ATTENTION], expert_count=8, expert_used_count=2)
    tensors.pop()
    tensors += [(f"blk.0.ffn_{n}_exps.weight", (64, 96, 8), F16) for n in ("gate", "up")]
    tensors += [("blk.0.ffn_down_exps.weight", (96, 64, 8), F16), ("blk.0.ffn_gate_inp.weight", (64, 8), F32)]
    model = read(tmp_path, metadata, tensors)
    assert (model.model_type, model.experts, model.experts_per_token) == ("mixtral", 8, 2)
    assert model.moe_intermediate_size == 96
    assert {m.role for m in model.matrices} >= {"expert", "router"}
    up = next(m for m in model.matrices if m.name == "ffn_up_exps")
    assert (up.rows, up.columns, up.count) == (96, 64, 8)
    assert model.gguf_type == "gguf-f16" and model.tied_embeddings


def test_sliding_windows(tmp_path: Path) -> None:
    six = [ATTENTION] * 6
    window = {"attention__sliding_window": 512}
    assert kept(tmp_path, "gemma3", six, **window) == {"sliding:512": 5, "full:2": 1}
    assert kept(tmp_path, "gemma3", six) == {"full:2": 6}
    assert kept(tmp_path, "gemma2", six) == {"sliding:4096": 3, "full:2": 3}
    assert kept(tmp_path, "gpt-oss", six, **window) == {"sliding:512": 3, "full:2": 3}
    assert kept(tmp_path, "cohere2", six, **window) == {"sliding:512": 5, "full:2": 1}
    assert kept(tmp_path, "phi3", six, **window) == {"full:2": 6}
    assert kept(tmp_path, "llama4", six) == {"sliding:8192": 5, "full:2": 1}
    said = {"attention__sliding_window_pattern": [True, False, True, True, False, True]}
    assert kept(tmp_path, "new-arch", six, **window, **said) == {"sliding:512": 4, "full:2": 2}
    every = {"attention__sliding_window_pattern": 3}
    assert kept(tmp_path, "gemma3", six, **window, **every) == {"sliding:512": 4, "full:2": 2}


def test_latent_attention(tmp_path: Path) -> None:
    words = ["attn_q", "attn_kv_a_mqa", "attn_k_b", "attn_v_b", "attn_output"]
    split = {"attention__key_length_mla": 24, "attention__value_length_mla": 16}
    assert kept(tmp_path, "deepseek2", [words] * 3, **split) == {"latent:64": 3}
    assert kept(tmp_path, "deepseek2", [["attn_q", "attn_kv_a_mqa", "attn_kv_b"]] * 3) == {"full:2": 3}


def test_state_and_attention(tmp_path: Path) -> None:
    layers = [["ssm_in", "ssm_out"], [], ATTENTION, ["ssm_in", "ssm_out"]]
    ssm = {"ssm__state_size": 16, "ssm__inner_size": 128, "ssm__conv_kernel": 4, "ssm__group_count": 2}
    size = 4 * (3 * (128 + 2 * 2 * 16) + 16 * 128)
    found = kept(tmp_path, "nemotron_h", layers, **ssm, attention__head_count_kv=[0, 0, 2, 0])
    assert found == {f"state:{size}": 2, "full:2": 1}


def test_layers_for_multi_token_prediction_are_apart(tmp_path: Path) -> None:
    metadata, tensors = small("glm4moe", [ATTENTION] * 3, nextn_predict_layers=1)
    model = read(tmp_path, metadata, tensors)
    assert (model.layers, model.caches[0].layers) == (2, 2)
    assert sum(m.count for m in model.matrices if m.role == "mtp") == 5


def test_the_file_type_is_guessed_where_it_is_missing(tmp_path: Path) -> None:
    metadata = {k: v for k, v in LLAMA.items() if k != "general.file_type"}
    assert read(tmp_path, metadata, llama_tensors()).gguf_type == "gguf-q4_k_m"
    assert read(tmp_path, metadata | {"general.file_type": 1024 + 18}, llama_tensors()).gguf_type == "gguf-q6_k"


REFUSED: dict[str, tuple[dict[str, Any], str, str]] = {
    "no model at all": ({"general.architecture": None}, "unknown-architecture", "general.architecture"),
    "vision projector": ({"general.type": "mmproj"}, "unknown-architecture", "mmproj"),
    "encoder": ({"llama.attention.causal": False}, "unknown-architecture", "encoder"),
    "no layer count": ({"llama.block_count": None}, "unknown-architecture", "llama.block_count"),
    "no width": ({"llama.embedding_length": None}, "unknown-architecture", "llama.embedding_length"),
    "more layers than tensors": ({"llama.block_count": 5}, "unknown-architecture", "layer 2"),
    "endless layers": ({"llama.block_count": 1 << 31}, "gguf-corrupt", "llama.block_count"),
    "layers in words": ({"llama.block_count": "two"}, "gguf-corrupt", "llama.block_count"),
    "heads that are text": ({"llama.attention.head_count_kv": "x"}, "gguf-corrupt", "head_count_kv"),
    "too short an array": ({"llama.attention.head_count_kv": [2]}, "gguf-corrupt", "head_count_kv"),
    "negative heads": ({"llama.attention.head_count_kv": [2, -1]}, "gguf-corrupt", "head_count_kv"),
    "only prediction layers": ({"llama.nextn_predict_layers": 2}, "unknown-architecture", "prediction"),
    "unknown window": (
        {"general.architecture": "brandnew"}
        | {k.replace("llama", "brandnew"): v for k, v in LLAMA.items() if k.startswith("llama.")}
        | {"brandnew.attention.sliding_window": 512},
        "unknown-architecture",
        "its sliding layers are unknown",
    ),
}


@pytest.mark.parametrize(("changes", "code", "words"), REFUSED.values(), ids=REFUSED)
def test_what_is_not_understood(tmp_path: Path, changes: dict[str, Any], code: str, words: str) -> None:
    metadata = {k: v for k, v in (LLAMA | changes).items() if v is not None}
    with pytest.raises(InputError) as caught:
        read(tmp_path, metadata, llama_tensors())
    (problem,) = caught.value.problems
    assert problem.code == code and words in problem.message
    assert problem.place is not None and problem.place.path.endswith("m.gguf")


def test_no_tensors_at_all() -> None:
    header = GgufHeader("m.gguf", 3, LLAMA, (GgufTensor("output.weight", (256, 300), "f16", 153600),))
    with pytest.raises(InputError, match=r"token_embd\.weight is missing"):
        from_gguf(header)


def test_numbers_and_names_have_the_form_that_the_schema_says() -> None:
    schema = json.loads((ROOT / "rules/schemas/gguf.json").read_text(encoding="utf-8"))
    names = shipped("gguf.json")
    Draft202012Validator(schema).validate(names)
    assert len(set(names["file_types"].values())) == len(names["file_types"])


@pytest.mark.parametrize(
    ("name", "title", "kind"),
    [
        ("Qwen3.6-35B-A3B-UD-Q4_K_XL.gguf", "Qwen3.6-35B-A3B", "gguf-ud-q4_k_xl"),
        ("model-ud-iq2_m.gguf", "Model", "gguf-ud-iq2_m"),
        ("weights.gguf", "Qwen3 UD-Q8_K_XL", "gguf-ud-q8_k_xl"),
        ("model-UD-Q9_K_XL.gguf", "Model", "gguf-q4_k_m"),
        ("cloUD-Q4_K_XL.gguf", "Model", "gguf-q4_k_m"),
        ("Q4_K_M.gguf", "Model", "gguf-q4_k_m"),
    ],
)
def test_a_dynamic_type_is_told_from_the_name(tmp_path: Path, name: str, title: str, kind: str) -> None:
    """`general.file_type` of such files says a plain type, any one."""
    header = read_gguf(write(tmp_path / name, LLAMA | {"general.name": title}, llama_tensors()))
    methods = ("gguf-q4_k_m", "gguf-ud-q4_k_xl", "gguf-ud-iq2_m", "gguf-ud-q8_k_xl")
    assert from_gguf(header, methods=methods).gguf_type == kind


def test_equal_tensors_are_folded_and_nothing_is_lost(tmp_path: Path) -> None:
    header = read_gguf(write(tmp_path / "m.gguf", LLAMA, llama_tensors()))
    stored = from_gguf(header).stored
    assert sum(one.size * max(1, len(one.layers)) for one in stored) == header.tensor_bytes
    assert len(stored) < len(header.tensors)
    assert {one.layers for one in stored} == {(), (0, 1)}
    sizes = stored_sizes(2, stored)
    assert sizes.file == header.tensor_bytes
    assert sum(sizes.layers) == sum(one.size * len(one.layers) for one in stored)

"""Sizes of GGUF files from architecture and type alone, against what their makers published."""

from __future__ import annotations

import time
import timeit
from statistics import median
from typing import Any

import pytest
import yaml
from gguf_models import GGML_TYPES, METHODS, ROOT, model
from shipped_families import from_config

from generator.architecture.shape import CacheGroup, Matrix, ModelArchitecture
from generator.quantity import GB, GIB
from generator.readers.document import read_json
from generator.sizing.footprint import Layout
from generator.sizing.gguf import fullest, gguf_bytes, gguf_sizes

DATA: dict[str, Any] = yaml.safe_load((ROOT / "tests/data/gguf_sizes.yaml").read_text(encoding="utf-8"))
MODELS = {name: model(facts) for name, facts in DATA["models"].items()}
ONE_TYPE = {"base": "f32", "output": "f32", "token_embedding": "f32", "norm": "f32", "router": "f32"}
TYPES = METHODS | {"gguf-f32": {"gguf": ONE_TYPE}}
Q4_K_M = METHODS["gguf-q4_k_m"]


def predicted(row: dict[str, Any]) -> int:
    return gguf_bytes(MODELS[row["model"]], TYPES[row["method"]], GGML_TYPES, row.get("imatrix", False))


def error(row: dict[str, Any]) -> float:
    """Error of the predicted size in %."""
    told = row["gib"] * GIB if "gib" in row else row["gb"] * GB
    return float(100 * (predicted(row) / told - 1))


@pytest.mark.parametrize("row", DATA["rows"], ids=lambda r: r["id"])
def test_size_of_a_published_file(row: dict[str, Any]) -> None:
    assert row["source"] in DATA["sources"]
    assert abs(error(row)) <= 3
    if "bits_per_weight" in row:
        bits = 8 * predicted(row) / MODELS[row["model"]].parameters
        assert bits == pytest.approx(row["bits_per_weight"], rel=0.005)


def test_median_error() -> None:
    assert len({row["id"] for row in DATA["rows"]}) == len(DATA["rows"])
    assert median(abs(error(row)) for row in DATA["rows"]) <= 0.2


def matrix(name: str, role: Any, rows: int, columns: int, layers: int, many: int = 1) -> Matrix:
    return Matrix(name, role, rows, columns, layers * many, layer_last=layers - 1)


def only(matrices: list[Matrix], layers: int = 16, **changes: Any) -> ModelArchitecture:
    facts: dict[str, Any] = {"caches": (), "attention_heads": 8, "kv_heads": 8, "experts": 0} | changes
    return ModelArchitecture(
        "llama", layers, 256, 256, 512, facts["attention_heads"], facts["kv_heads"], 32, 4096, "bf16",
        tuple(matrices), facts["caches"], experts=facts["experts"], experts_per_token=min(2, facts["experts"]),
    )  # fmt: skip


def bits(architecture: ModelArchitecture, method: str, imatrix: bool = False) -> float:
    """Bits per weight of the whole file."""
    return 8 * gguf_bytes(architecture, METHODS[method], GGML_TYPES, imatrix) / architecture.parameters


@pytest.mark.parametrize(
    ("columns", "method", "expected"),
    [
        (256, "gguf-q4_k_s", 4.5),
        (288, "gguf-q4_k_s", 5.5),
        (288, "gguf-q5_k_s", 6.0),
        (288, "gguf-q6_k", 8.5),
        (288, "gguf-q3_k_s", 4.5),
        (288, "gguf-iq4_xs", 4.5),
        (288, "gguf-q8_0", 8.5),
        (300, "gguf-q4_k_s", 16.0),
        (300, "gguf-q8_0", 16.0),
    ],
)
def test_rows_that_no_block_divides(columns: int, method: str, expected: float) -> None:
    assert bits(only([matrix("attn_output", "attention", 64, columns, 16)]), method) == pytest.approx(expected)


def test_what_stays_in_32_bits() -> None:
    kept = [
        matrix("attn_norm", "norm", 256, 1, 16),
        matrix("attn_q.bias", "attention", 256, 1, 16),
        matrix("ffn_gate_inp", "router", 8, 256, 16),
        matrix("ffn_gate_exps.bias", "expert", 256, 1, 16, 8),
        matrix("ssm_conv1d", "linear_attention", 64, 4, 16),
    ]
    for one in kept:
        assert bits(only([one], experts=8), "gguf-q4_k_m") == 32


def test_vision_and_prediction_layers_are_in_other_files() -> None:
    tower = [Matrix("v.blk", "vision", 256, 256, 10), Matrix("nextn", "mtp", 256, 256, 1)]
    text = [matrix("attn_q", "attention", 256, 256, 16)]
    assert gguf_bytes(only(text + tower), Q4_K_M, GGML_TYPES) == gguf_bytes(only(text), Q4_K_M, GGML_TYPES)


def types_of(name: str, method: str, layers: int = 16, **changes: Any) -> float:
    return bits(only([matrix(name, "attention", 256, 256, layers)], layers, **changes), method)


def test_clauses_by_layer() -> None:
    """n = 16: more_bits holds for layers 0, 1, 4, 7, 10, 13, 14, 15, first_eighth for two, first_4 for four."""
    assert types_of("ffn_down", "gguf-q4_k_m") == pytest.approx((8 * 6.5625 + 8 * 4.5) / 16)
    assert types_of("ffn_down", "gguf-q4_k_s") == pytest.approx((2 * 5.5 + 14 * 4.5) / 16)
    assert types_of("attn_v", "gguf-q4_k_s") == pytest.approx((4 * 5.5 + 12 * 4.5) / 16)
    assert types_of("ffn_up", "gguf-iq3_xs") == pytest.approx((12 * 3.0625 + 4 * 3.4375) / 16)
    assert types_of("ffn_down", "gguf-q3_k_m") == pytest.approx((1 * 5.5 + 15 * 4.5) / 16)
    assert types_of("attn_qkv", "gguf-q4_k_m") == types_of("attn_v", "gguf-q4_k_m")


def test_clauses_by_heads_and_experts() -> None:
    assert types_of("attn_v", "gguf-q2_k") == pytest.approx(3.4375)
    assert types_of("attn_v", "gguf-q2_k", kv_heads=2) == pytest.approx(4.5)
    assert types_of("attn_v", "gguf-iq2_xs", experts=4) == pytest.approx(4.5)
    assert types_of("attn_k", "gguf-q4_k_m", experts=8) == pytest.approx(8.5)
    assert types_of("attn_output", "gguf-q4_k_m", experts=8) == pytest.approx(5.5)
    assert types_of("attn_k", "gguf-q4_k_m", experts=16) == pytest.approx(4.5)


def test_the_70b_class_raises_values() -> None:
    plain = types_of("attn_v", "gguf-q3_k_s", 80, attention_heads=64, kv_heads=64)
    assert (plain, types_of("attn_v", "gguf-q3_k_s", 80, attention_heads=64)) == (3.4375, 5.5)


def test_an_importance_matrix_changes_some_types() -> None:
    down = only([matrix("ffn_down", "mlp", 256, 256, 16)])
    assert bits(down, "gguf-q4_0", True) > bits(down, "gguf-q4_0")
    assert bits(down, "gguf-iq4_xs", True) < bits(down, "gguf-iq4_xs")


def test_tied_embeddings_take_the_type_of_the_output() -> None:
    tied = only([Matrix("token_embd", "embedding", 512, 256, 1)])
    assert bits(tied, "gguf-q4_k_m") == pytest.approx(6.5625)
    odd = only([Matrix("token_embd", "embedding", 512, 288, 1)])
    assert bits(odd, "gguf-q4_k_m") == pytest.approx(8.5)


def test_mxfp4_is_for_experts() -> None:
    mixed = [matrix("ffn_up_exps", "expert", 256, 256, 16, 8), matrix("attn_q", "attention", 256, 256, 16)]
    assert bits(only(mixed, experts=8), "gguf-mxfp4") == pytest.approx((8 * 4.25 + 8.5) / 9)


def test_latent_attention_is_split_as_converters_do() -> None:
    """Keys lie across: rows of 128 values fall back from q4_K to q5_0, the values' rows of 512 do not."""
    latent = CacheGroup("latent", 16, latent_dim=576)
    found = only(
        [matrix("attn_q_b", "attention", 16 * 192, 512, 16), matrix("attn_kv_b", "attention", 16 * 256, 512, 16)],
        caches=(latent,), attention_heads=16,
    )  # fmt: skip
    assert bits(found, "gguf-q4_k_s") == pytest.approx((3072 * 4.5 + 2048 * 5.5 + 2048 * 4.5) / 7168)


def test_split_over_gpus() -> None:
    """33 units over two GPUs: the first takes 17 layers, the second 15 and the output; the host the embeddings."""
    llama = MODELS["llama-3.1-8b"]
    sizes = gguf_sizes(llama, METHODS["gguf-q8_0"], GGML_TYPES)
    assert sizes.file == sum(sizes.layers) + sizes.output + sizes.embedding
    one = fullest(gguf_sizes(llama, METHODS["gguf-q8_0"], GGML_TYPES), Layout())
    assert one == sizes.file - sizes.embedding
    two = fullest(gguf_sizes(llama, METHODS["gguf-q8_0"], GGML_TYPES), Layout(pipeline_parallel=2))
    assert two == max(17 * sizes.layers[0], 15 * sizes.layers[0] + sizes.output)
    all_gpus = [fullest(gguf_sizes(llama, Q4_K_M, GGML_TYPES), Layout(pipeline_parallel=n)) for n in (1, 2, 4, 8, 64)]
    assert all_gpus == sorted(all_gpus, reverse=True)
    assert all_gpus[-1] == gguf_sizes(llama, Q4_K_M, GGML_TYPES).output
    assert fullest(gguf_sizes(llama, Q4_K_M, GGML_TYPES), Layout(), cpu=True) == gguf_bytes(llama, Q4_K_M, GGML_TYPES)


def test_tied_embeddings_have_a_copy_on_the_gpu() -> None:
    tied = MODELS["qwen2-vl-2b"]
    assert fullest(gguf_sizes(tied, Q4_K_M, GGML_TYPES), Layout()) == gguf_bytes(tied, Q4_K_M, GGML_TYPES)


def test_a_known_size_scales_the_share() -> None:
    llama, two = MODELS["llama-3.1-8b"], Layout(pipeline_parallel=2)
    file, share = gguf_bytes(llama, Q4_K_M, GGML_TYPES), fullest(gguf_sizes(llama, Q4_K_M, GGML_TYPES), two)
    assert fullest(gguf_sizes(llama, Q4_K_M, GGML_TYPES), two, exact=2 * file) == 2 * share
    assert fullest(gguf_sizes(llama, Q4_K_M, GGML_TYPES), Layout(), cpu=True, exact=12345) == 12345


def test_asking_again_is_cheap() -> None:
    llama, two = MODELS["llama-3.1-405b"], Layout(pipeline_parallel=2)
    fullest(gguf_sizes(llama, Q4_K_M, GGML_TYPES), two)
    assert min(timeit.repeat(lambda: fullest(gguf_sizes(llama, Q4_K_M, GGML_TYPES), two), timer=time.process_time, number=200, repeat=5)) / 200 < 30e-6


def test_experts_that_come_in_mxfp4_stay_so_in_sixteen_bits() -> None:
    """gpt-oss-20b converted to F16: 12.83 GiB in the log of a real server (tests/data/logs/llama.cpp-b7772-t4.log)."""
    config = read_json(ROOT / "tests/data/configs/openai__gpt-oss-20b.json")
    assert gguf_bytes(from_config(config), METHODS["gguf-f16"], GGML_TYPES) / (1 << 30) == pytest.approx(12.83, rel=0.01)

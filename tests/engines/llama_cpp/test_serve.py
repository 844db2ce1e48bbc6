"""What a spec serves besides chat, on the real llama.cpp: embeddings of long texts, a draft, drafts from the text, an adapter, images."""

from __future__ import annotations

import base64
import struct
import zlib
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("gguf", reason="the PyPI package gguf writes the files")

import gguf
import numpy as np
from binaries import folder
from test_generated import SMALL, Generated, answered, generate
from tiny_gguf import MODELS, write_tiny_gguf

pytestmark = pytest.mark.llama_cpp


@pytest.fixture(scope="module")
def programs() -> Path:
    return folder()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("serve") / "tiny.gguf"
    write_tiny_gguf(path, MODELS["llama"])
    return path


def spec_of(model: Path, serve: dict[str, Any], **workload: int) -> dict[str, Any]:
    hardware = {"gpu": "cpu", "memory_gib": 8}
    return {"model": {"id": "tiny", "gguf": str(model)}, "hardware": hardware, "workload": {**SMALL, **workload}, "serve": serve}


def made(programs: Path, home: Path, spec: dict[str, Any]) -> Generated:
    return generate(programs, home, {**spec, "pin": {"engine": "llama.cpp"}})


def test_a_text_longer_than_the_usual_batch_gets_its_embedding(programs: Path, model: Path, tmp_path: Path) -> None:
    generated = made(programs, tmp_path, spec_of(model, {"task": "embed"}))
    assert "--embeddings" in generated.serve.read_text() and not (generated.folder / "llama.cpp" / "bench.sh").exists()
    with generated.running() as server:
        assert "0" <= answered(generated, tmp_path).strip().lstrip("[-")[0] <= "9"
        reply = server.request("/v1/embeddings", {"model": "spec", "input": "a b c d " * 180})
        assert reply.status == 200, reply.text
        data = reply.json()
        assert data["usage"]["prompt_tokens"] > 512 and len(data["data"][0]["embedding"]) == MODELS["llama"].hidden


def test_a_small_model_drafts(programs: Path, model: Path, tmp_path: Path) -> None:
    generated = made(programs, tmp_path, spec_of(model, {"speculative": {"method": "draft", "model": str(model), "tokens": 3}}))
    assert generated.plan["choice"]["speculative"] == {"method": "draft", "model": str(model), "tokens": 3}
    one = ("--threads", "1", "--threads-batch", "1", "--spec-draft-threads", "1", "--spec-draft-threads-batch", "1")  # two pools that spin starve each other
    with generated.running(*one) as server:
        answered(generated, tmp_path)
        log = server.stop().log
    assert "draft" in log


def test_the_text_itself_drafts(programs: Path, model: Path, tmp_path: Path) -> None:
    generated = made(programs, tmp_path, spec_of(model, {"speculative": "ngram"}))
    with generated.running():
        answered(generated, tmp_path)


def test_an_adapter_is_loaded(programs: Path, model: Path, tmp_path: Path) -> None:
    adapter = tmp_path / "sql.gguf"
    _write_adapter(adapter)
    generated = made(programs, tmp_path, spec_of(model, {"adapters": {"sql": str(adapter)}, "max_adapter_rank": 8}))
    assert generated.plan["choice"]["settings"]["lora_files"] == str(adapter)
    with generated.running() as server:
        answered(generated, tmp_path)
        loaded = server.request("/lora-adapters").json()
        assert [one["path"] for one in loaded] == [str(adapter)]


def _write_adapter(path: Path) -> None:
    """A LoRA adapter of rank 8 for the queries of the tiny model, as llama.cpp's converter writes it."""
    shape = MODELS["llama"]
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", 16.0)
    rng = np.random.default_rng(0)
    for layer in range(shape.layers):
        writer.add_tensor(f"blk.{layer}.attn_q.weight.lora_a", rng.standard_normal((8, shape.hidden), dtype=np.float32) * 0.02)
        writer.add_tensor(f"blk.{layer}.attn_q.weight.lora_b", rng.standard_normal((shape.heads * shape.head_dim, 8), dtype=np.float32) * 0.02)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def test_a_projector_is_loaded_and_an_image_is_read(programs: Path, model: Path, tmp_path: Path) -> None:
    projector = tmp_path / "mmproj.gguf"
    _write_projector(projector)
    spec = spec_of(model, {"images": 1}) | {"deploy": {"extra_args": {"llama.cpp": {"mmproj": str(projector)}}}}
    generated = made(programs, tmp_path, spec)
    image = "data:image/png;base64," + base64.b64encode(_white(56)).decode()
    parts = [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": image}}]
    with generated.running() as server:
        answered(generated, tmp_path)
        reply = server.request("/v1/chat/completions", {"model": "spec", "max_tokens": 4, "messages": [{"role": "user", "content": parts}]})
        assert reply.status == 200, reply.text
        assert reply.json()["usage"]["prompt_tokens"] > 16  # the 16 patches, besides the words


def _write_projector(path: Path) -> None:
    """A tower of two layers over 16 patches of an image of 56 × 56, with LLaVA's projector of two matrices, for the tiny model."""
    width, wide, hidden, patches = 64, 128, MODELS["llama"].hidden, 16
    writer = gguf.GGUFWriter(str(path), "clip")
    writer.add_bool("clip.has_vision_encoder", True)
    writer.add_string("clip.projector_type", "mlp")
    writer.add_bool("clip.use_gelu", True)
    numbers = {"image_size": 56, "patch_size": 14, "embedding_length": width, "feed_forward_length": wide, "projection_dim": hidden, "block_count": 2}
    for name, number in {**numbers, "attention.head_count": 4}.items():
        writer.add_uint32(f"clip.vision.{name}", number)
    writer.add_float32("clip.vision.attention.layer_norm_epsilon", 1e-5)
    for name, values in {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}.items():
        writer.add_array(f"clip.vision.{name}", values)
    rng = np.random.default_rng(0)
    shapes: dict[str, tuple[int, ...]] = {
        "v.class_embd": (width,), "v.patch_embd.weight": (width, 3, 14, 14), "v.position_embd.weight": (patches + 1, width),
        "mm.0.weight": (hidden, width), "mm.0.bias": (hidden,), "mm.2.weight": (hidden, hidden), "mm.2.bias": (hidden,),
    }  # fmt: skip
    for name in ("v.pre_ln", *(f"v.blk.{layer}.{norm}" for layer in range(2) for norm in ("ln1", "ln2"))):
        shapes |= {f"{name}.weight": (width,), f"{name}.bias": (width,)}
    for layer in range(2):
        for name, rows, columns in (*((f"attn_{part}", width, width) for part in ("q", "k", "v", "out")), ("ffn_up", wide, width), ("ffn_down", width, wide)):
            shapes |= {f"v.blk.{layer}.{name}.weight": (rows, columns), f"v.blk.{layer}.{name}.bias": (rows,)}
    for name, shape in shapes.items():
        writer.add_tensor(name, rng.standard_normal(shape, dtype=np.float32) * 0.02)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _white(size: int) -> bytes:
    """A white square as a PNG."""
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = zlib.compress((b"\0" + b"\xff" * 3 * size) * size)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", size, size, 8, 2, 0, 0, 0)) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")

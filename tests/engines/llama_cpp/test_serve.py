"""What a spec serves besides chat, on the real llama.cpp: embeddings of long texts, a draft, drafts from the text, an adapter."""

from __future__ import annotations

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

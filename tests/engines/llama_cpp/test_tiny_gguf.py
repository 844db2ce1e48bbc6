"""Files that the `gguf` package wrote, read by our own reader: to the byte."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("gguf", reason="the PyPI package gguf writes the files")

from shipped_families import from_gguf
from tiny_gguf import MODELS, write_tiny_gguf

from generator.architecture.shape import CacheGroup
from generator.readers.gguf_header import read_gguf

FULL = CacheGroup("full", 2, 2, 64, 64)
CACHES = {
    "llama": {FULL},
    "llama-moe": {FULL},
    "qwen2": {FULL},
    "gemma3": {CacheGroup("sliding", 5, 2, 64, 64, 512), CacheGroup("full", 1, 2, 64, 64)},
}


@pytest.mark.parametrize("name", sorted(MODELS))
@pytest.mark.parametrize("float32", [False, True])
def test_bytes_and_caches(name: str, float32: bool, tmp_path: Path) -> None:
    path, model = tmp_path / "tiny.gguf", MODELS[name]
    written = write_tiny_gguf(path, model, float32=float32)
    header = read_gguf(path)
    assert {(t.name, t.size) for t in header.tensors} == {(t.name, t.size) for t in written}
    found = from_gguf(header)
    assert found.tensor_bytes == sum(t.size for t in written)
    assert set(found.caches) == CACHES[name]
    assert (found.layers, found.hidden_size, found.vocab_size) == (model.layers, model.hidden, model.vocabulary)
    assert (found.attention_heads, found.kv_heads, found.head_dim) == (model.heads, model.kv_heads, model.head_dim)
    assert (found.experts, found.experts_per_token) == (model.experts, model.experts and model.experts_used)
    assert found.tied_embeddings is (name == "gemma3")
    assert found.gguf_type == ("gguf-f32" if float32 else "gguf-f16")
    assert found.dtype == ("fp32" if float32 else "fp16")

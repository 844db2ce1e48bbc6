"""GGUF files for tests, byte by byte: no library, so that wrong ones can be written as well."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any

F32, F16, Q4_K, Q6_K = (0, 1, 4), (1, 1, 2), (12, 256, 144), (14, 256, 210)
"""Number, values of a block and bytes of a block."""

Shape = tuple[int, ...]


def text(value: str | bytes) -> bytes:
    """A string as GGUF writes it."""
    raw = value.encode() if isinstance(value, str) else value
    return struct.pack("<Q", len(raw)) + raw


def value(item: Any) -> bytes:
    """A metadata value with its type in front."""
    if isinstance(item, bool):
        return struct.pack("<I?", 7, item)
    if isinstance(item, int):
        return struct.pack("<IQ", 10, item) if item > 0xFFFFFFFF else struct.pack("<II", 4, item)
    if isinstance(item, float):
        return struct.pack("<If", 6, item)
    if isinstance(item, str):
        return struct.pack("<I", 8) + text(item)
    kind, form = (8, "") if isinstance(item[0], str) else (7, "?") if isinstance(item[0], bool) else (5, "i")
    body = b"".join(text(i) if kind == 8 else struct.pack("<" + form, i) for i in item)
    return struct.pack("<IIQ", 9, kind, len(item)) + body


def gguf(metadata: Mapping[str, Any], tensors: Sequence[tuple[str, Shape, tuple[int, int, int]]] = ()) -> bytes:
    """A whole file; tensors as name, shape (row length first) and type; their data is zeros."""
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(metadata))
    head += b"".join(text(k) + value(v) for k, v in metadata.items())
    offset = 0
    for name, shape, (number, block, size) in tensors:
        head += text(name) + struct.pack("<I", len(shape)) + b"".join(struct.pack("<Q", n) for n in shape)
        head += struct.pack("<IQ", number, offset)
        offset += -(-prod(shape) // block * size // 32) * 32
    return head + bytes(-len(head) % 32) + bytes(offset)


def write(path: Path, metadata: Mapping[str, Any], tensors: Sequence[tuple[str, Shape, tuple[int, int, int]]]) -> Path:
    """The same, as a file."""
    path.write_bytes(gguf(metadata, tensors))
    return path


LLAMA: dict[str, Any] = {
    "general.architecture": "llama",
    "general.file_type": 15,
    "llama.block_count": 2,
    "llama.embedding_length": 256,
    "llama.context_length": 4096,
    "llama.feed_forward_length": 512,
    "llama.attention.head_count": 4,
    "llama.attention.head_count_kv": 2,
    "tokenizer.ggml.tokens": ["a", "b", "c"],
}


def llama_tensors() -> list[tuple[str, Shape, tuple[int, int, int]]]:
    """Tensors of a two-layer Llama."""
    found: list[tuple[str, Shape, tuple[int, int, int]]] = [
        ("token_embd.weight", (256, 300), Q4_K),
        ("output_norm.weight", (256,), F32),
        ("output.weight", (256, 300), Q6_K),
    ]
    for layer in range(2):
        block = f"blk.{layer}."
        found += [(block + n + "_norm.weight", (256,), F32) for n in ("attn", "ffn")]
        found += [(block + f"attn_{n}.weight", (256, 256 if n in ("q", "output") else 128), Q4_K) for n in _ATTENTION]
        found += [(block + f"ffn_{n}.weight", (256, 512), Q4_K) for n in ("gate", "up")]
        found.append((block + "ffn_down.weight", (512, 256), Q6_K))
    return found


_ATTENTION = ("q", "k", "v", "output")

"""Write a tiny model with random weights as a GGUF file that llama.cpp loads, quantises and generates from.

Needs the PyPI packages `gguf` and `numpy`, and no network. The text it generates is nonsense; what is real is the
format, the tokenizer (any input can be spelled in bytes), the chat template (ChatML) and the arithmetic of memory.

    python tiny_gguf.py OUT.gguf [--model llama|llama-moe|qwen2|gemma3] [--seed N] [--float32]

Widths are multiples of 256 values, because k-quants pack 256 values to a block and llama-quantize falls back to
another type for rows of another width. The same model and seed give the same bytes.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import gguf
import numpy as np
from numpy.typing import NDArray

BLOCK = 256
"""Values in one block of a k-quant."""

DEVIATION = 0.02
"""Standard deviation of the random weights."""

CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)

SPECIALS = ("<unk>", "<s>", "</s>", "<|im_start|>", "<|im_end|>")
UNKNOWN, BEGIN, END, TURN_END = (SPECIALS.index(token) for token in ("<unk>", "<s>", "</s>", "<|im_end|>"))
SPACE = "\u2581"
"""What a SentencePiece vocabulary writes for a space."""


@dataclass(frozen=True, slots=True)
class TinyModel:
    """The shape of a model. Widths are in values, `context` in tokens."""

    architecture: Literal["llama", "qwen2", "gemma3"] = "llama"
    layers: int = 2
    hidden: int = 256
    heads: int = 4
    kv_heads: int = 2
    head_dim: int = 64
    feed_forward: int = 512
    vocabulary: int = 512
    context: int = 32768
    experts: int = 0
    """Experts in each layer; 0 for a dense model, and only llama has any."""
    experts_used: int = 2
    sliding_window: int = 512
    """Tokens that a sliding layer sees; gemma3 only, where every sixth layer sees all."""

    def __post_init__(self) -> None:
        for name, width in (
            ("hidden", self.hidden),
            ("heads * head_dim", self.heads * self.head_dim),
            ("feed_forward", self.feed_forward),
        ):
            if width <= 0 or width % BLOCK:
                raise ValueError(f"{name} is {width}, not a multiple of {BLOCK}")
        if self.heads % self.kv_heads:
            raise ValueError(f"{self.heads} heads do not share {self.kv_heads} KV heads evenly")
        if self.vocabulary < len(SPECIALS) + 256:
            raise ValueError(f"a vocabulary of {self.vocabulary} has no room for all bytes")
        if self.experts and self.architecture != "llama":
            raise ValueError(f"experts are for llama only, not {self.architecture}")
        if self.experts and not 0 < self.experts_used <= self.experts:
            raise ValueError(f"{self.experts_used} of {self.experts} experts cannot be used")


MODELS = {
    "llama": TinyModel(),
    "llama-moe": TinyModel(experts=4),
    "qwen2": TinyModel(architecture="qwen2"),
    "gemma3": TinyModel(architecture="gemma3", layers=6),
}
"""A model of each kind, by name: 2.9 to 7.6 MB in 16 bits."""


class Tensor(NamedTuple):
    """One tensor as written: `shape` in numpy's order (rows first), `size` in bytes."""

    name: str
    shape: tuple[int, ...]
    size: int


def write_tiny_gguf(
    path: Path, model: TinyModel = MODELS["llama"], *, seed: int = 0, float32: bool = False
) -> list[Tensor]:
    """Write `model` to `path` and return its tensors in file order.

    Matrices have 16 bits a weight, or 32 with `float32`; norms, biases and routers always have 32, as llama.cpp
    wants them.
    """
    writer = gguf.GGUFWriter(path, model.architecture)
    _add_shape(writer, model, float32)
    _add_tokenizer(writer, model.vocabulary)
    tensors = []
    for name, values in _weights(model, np.random.default_rng(seed), float32):
        writer.add_tensor(name, values)
        tensors.append(Tensor(name, values.shape, values.nbytes))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return tensors


def _add_shape(writer: gguf.GGUFWriter, model: TinyModel, float32: bool) -> None:
    writer.add_name("tiny-random")
    writer.add_file_type(gguf.LlamaFileType.ALL_F32 if float32 else gguf.LlamaFileType.MOSTLY_F16)
    writer.add_vocab_size(model.vocabulary)
    writer.add_context_length(model.context)
    writer.add_embedding_length(model.hidden)
    writer.add_block_count(model.layers)
    writer.add_feed_forward_length(model.feed_forward)
    writer.add_head_count(model.heads)
    writer.add_head_count_kv(model.kv_heads)
    writer.add_key_length(model.head_dim)
    writer.add_value_length(model.head_dim)
    writer.add_rope_dimension_count(model.head_dim)
    writer.add_rope_freq_base(10000.0)
    writer.add_layer_norm_rms_eps(1e-5)
    if model.experts:
        writer.add_expert_count(model.experts)
        writer.add_expert_used_count(model.experts_used)
    if model.architecture == "gemma3":
        writer.add_sliding_window(model.sliding_window)


def _add_tokenizer(writer: gguf.GGUFWriter, size: int) -> None:
    tokens = list(SPECIALS)
    types = [gguf.TokenType.UNKNOWN] + [gguf.TokenType.CONTROL] * (len(SPECIALS) - 1)
    tokens += [f"<0x{byte:02X}>" for byte in range(256)]
    types += [gguf.TokenType.BYTE] * 256
    first = len(tokens)
    pieces = _pieces()
    tokens += [next(pieces) for _ in range(size - first)]
    types += [gguf.TokenType.NORMAL] * (size - first)
    scores = [0.0] * first + [-float(rank) for rank in range(size - first)]

    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(tokens)
    writer.add_token_scores(scores)
    writer.add_token_types(types)
    writer.add_unk_token_id(UNKNOWN)
    writer.add_bos_token_id(BEGIN)
    writer.add_eos_token_id(END)
    writer.add_eot_token_id(TURN_END)
    writer.add_add_bos_token(True)
    writer.add_chat_template(CHATML)


def _pieces() -> Iterator[str]:
    """Distinct pieces of text, likely ones first, without end."""
    yield SPACE
    yield from (chr(code) for code in range(ord("!"), ord("~") + 1))
    yield from (SPACE + chr(code) for code in range(ord("a"), ord("z") + 1))
    yield from (a + b for a in "aeioustnr" for b in "aeioustnrl")
    number = 0
    while True:
        yield f"{SPACE}w{number}"
        number += 1


Array = NDArray[np.float16] | NDArray[np.float32]


def _weights(model: TinyModel, random: np.random.Generator, float32: bool) -> Iterator[tuple[str, Array]]:
    """Name and values of every tensor. Rows come first: numpy's (rows, columns) is ggml's (columns, rows)."""

    def matrix(*shape: int) -> Array:
        values = random.standard_normal(shape, dtype=np.float32) * np.float32(DEVIATION)
        return values if float32 else values.astype(np.float16)

    def norm(width: int) -> Array:
        return np.ones(width, np.float32)

    hidden, inner = model.hidden, model.feed_forward
    queries, keys = model.heads * model.head_dim, model.kv_heads * model.head_dim
    yield "token_embd.weight", matrix(model.vocabulary, hidden)
    yield "output_norm.weight", norm(hidden)
    if model.architecture != "gemma3":  # which uses its embedding again
        yield "output.weight", matrix(model.vocabulary, hidden)
    for layer in range(model.layers):
        block = f"blk.{layer}."
        yield block + "attn_norm.weight", norm(hidden)
        yield block + "attn_q.weight", matrix(queries, hidden)
        yield block + "attn_k.weight", matrix(keys, hidden)
        yield block + "attn_v.weight", matrix(keys, hidden)
        yield block + "attn_output.weight", matrix(hidden, queries)
        if model.architecture == "qwen2":
            yield block + "attn_q.bias", np.zeros(queries, np.float32)
            yield block + "attn_k.bias", np.zeros(keys, np.float32)
            yield block + "attn_v.bias", np.zeros(keys, np.float32)
        if model.architecture == "gemma3":
            yield block + "attn_q_norm.weight", norm(model.head_dim)
            yield block + "attn_k_norm.weight", norm(model.head_dim)
            yield block + "post_attention_norm.weight", norm(hidden)
            yield block + "post_ffw_norm.weight", norm(hidden)
        yield block + "ffn_norm.weight", norm(hidden)
        if model.experts:
            router = random.standard_normal((model.experts, hidden), dtype=np.float32) * np.float32(DEVIATION)
            yield block + "ffn_gate_inp.weight", router
            yield block + "ffn_gate_exps.weight", matrix(model.experts, inner, hidden)
            yield block + "ffn_up_exps.weight", matrix(model.experts, inner, hidden)
            yield block + "ffn_down_exps.weight", matrix(model.experts, hidden, inner)
        else:
            yield block + "ffn_gate.weight", matrix(inner, hidden)
            yield block + "ffn_up.weight", matrix(inner, hidden)
            yield block + "ffn_down.weight", matrix(hidden, inner)


def main() -> None:
    """Write the file that the command line names; print its tensors' count and bytes as JSON."""
    parser = argparse.ArgumentParser(description="Write a tiny random-weight GGUF model.")
    parser.add_argument("out", type=Path)
    parser.add_argument("--model", choices=sorted(MODELS), default="llama")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--float32", action="store_true", help="32 bits a weight instead of 16")
    options = parser.parse_args()
    tensors = write_tiny_gguf(options.out, MODELS[options.model], seed=options.seed, float32=options.float32)
    size = sum(tensor.size for tensor in tensors)
    print(json.dumps({"file": str(options.out), "tensors": len(tensors), "tensor_bytes": size}))


if __name__ == "__main__":
    main()

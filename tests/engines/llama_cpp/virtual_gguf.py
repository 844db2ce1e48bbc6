"""Write a GGUF of real size without weights: true header and table of tensors, and a hole where the data would be.

llama-fit-params and `llama-quantize --dry-run` read the header and the table only, so the engine's own figures for a
model of hundreds of gigabytes can be had in a second, offline, from a sparse file of some kilobytes. There is no
vocabulary (`tokenizer.ggml.model` is `no_vocab`), so nothing can be generated with it.

    python virtual_gguf.py NAME OUT.gguf [--type F16|Q4_K|...]
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import NamedTuple

import gguf
import numpy as np

ALIGNMENT = 32


@dataclass(frozen=True, slots=True)
class VirtualModel:
    """The shape of a model; widths in values, `context` and `window` in tokens.

    With `experts`, `expert_ffn` is their width and `ffn` that of the first `dense_layers`. `latent` (MLA) gives the
    ranks of queries (0: none) and keys, and the widths of a key without and with rotation and of a value.
    """

    arch: str
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    ffn: int
    vocabulary: int
    context: int = 131072
    tied: bool = False
    bias: bool = False
    qk_norm: bool = False
    post_norms: bool = False
    window: int = 0
    experts: int = 0
    experts_used: int = 0
    expert_ffn: int = 0
    shared_ffn: int = 0
    dense_layers: int = 0
    latent: tuple[int, int, int, int, int] | None = None
    ssm: tuple[int, int, int, int, int] | None = None
    """Mamba-2: convolution kernel, inner width, state, heads, groups; `pattern` says which layers are what."""
    pattern: str = ""


MODELS = {
    "llama3-8b": VirtualModel("llama", 32, 4096, 32, 8, 128, 14336, 128256),
    "llama3-70b": VirtualModel("llama", 80, 8192, 64, 8, 128, 28672, 128256),
    "llama3.2-1b": VirtualModel("llama", 16, 2048, 32, 8, 64, 8192, 128256, tied=True),
    "llama2-13b": VirtualModel("llama", 40, 5120, 40, 40, 128, 13824, 32000, 4096),
    "mixtral-8x7b": VirtualModel(
        "llama", 32, 4096, 32, 8, 128, 14336, 32000, 32768, experts=8, experts_used=2, expert_ffn=14336
    ),
    "qwen2.5-0.5b": VirtualModel("qwen2", 24, 896, 14, 2, 64, 4864, 151936, 32768, tied=True, bias=True),
    "qwen2.5-7b": VirtualModel("qwen2", 28, 3584, 28, 4, 128, 18944, 152064, 32768, bias=True),
    "qwen2.5-72b": VirtualModel("qwen2", 80, 8192, 64, 8, 128, 29568, 152064, 32768, bias=True),
    "qwen3-8b": VirtualModel("qwen3", 36, 4096, 32, 8, 128, 12288, 151936, 40960, qk_norm=True),
    "qwen3-4b": VirtualModel("qwen3", 36, 2560, 32, 8, 128, 9728, 151936, 40960, tied=True, qk_norm=True),
    "qwen3-30b-a3b": VirtualModel(
        "qwen3moe", 48, 2048, 32, 4, 128, 6144, 151936, 40960,
        qk_norm=True, experts=128, experts_used=8, expert_ffn=768,
    ),
    "qwen3-235b-a22b": VirtualModel(
        "qwen3moe", 94, 4096, 64, 4, 128, 12288, 151936, 40960,
        qk_norm=True, experts=128, experts_used=8, expert_ffn=1536,
    ),
    "gemma2-9b": VirtualModel(
        "gemma2", 42, 3584, 16, 8, 256, 14336, 256000, 8192, tied=True, post_norms=True, window=4096
    ),
    "gemma3-12b": VirtualModel(
        "gemma3", 48, 3840, 16, 8, 256, 15360, 262208, tied=True, post_norms=True, qk_norm=True, window=1024
    ),
    "phi3-mini": VirtualModel("phi3", 32, 3072, 32, 32, 96, 8192, 32064, 4096),
    "gpt-oss-20b": VirtualModel(
        "gpt-oss", 24, 2880, 64, 8, 64, 2880, 201088,
        bias=True, post_norms=True, window=128, experts=32, experts_used=4, expert_ffn=2880,
    ),
    "gpt-oss-120b": VirtualModel(
        "gpt-oss", 36, 2880, 64, 8, 64, 2880, 201088,
        bias=True, post_norms=True, window=128, experts=128, experts_used=4, expert_ffn=2880,
    ),
    "deepseek-v2-lite": VirtualModel(
        "deepseek2", 27, 2048, 16, 1, 576, 10944, 102400, 163840, experts=64, experts_used=6, expert_ffn=1408,
        shared_ffn=2816, dense_layers=1, latent=(0, 512, 128, 192, 128),
    ),
    "deepseek-v3": VirtualModel(
        "deepseek2", 61, 7168, 128, 1, 576, 18432, 129280, 163840, experts=256, experts_used=8, expert_ffn=2048,
        shared_ffn=2048, dense_layers=3, latent=(1536, 512, 128, 192, 128),
    ),
    "nemotron-h-8b": VirtualModel(
        "nemotron_h", 52, 4096, 32, 8, 128, 21504, 131072, 8192, ssm=(4, 8192, 128, 128, 8),
        pattern="M-M-M-M*-M-M-M-M-M*-M-M-M-M-M*-M-M-M-M-M*-M-M-M-M-M-",
    ),
}  # fmt: skip
"""Published shapes, by name."""


class Tensor(NamedTuple):
    """One tensor: `shape` with rows first; `full` where it stays in 32 bits whatever the file's type."""

    name: str
    shape: tuple[int, ...]
    full: bool = False


def write_virtual_gguf(path: Path, model: VirtualModel, kind: str = "F16") -> int:
    """Write `model` with matrices of the ggml type `kind` to `path`; returns the bytes of its tensors."""
    writer = gguf.GGUFWriter(path, model.arch)
    _add_keys(writer, model)
    total = size = 0
    for tensor in tensors(model):
        of = gguf.GGMLQuantizationType.F32 if tensor.full else gguf.GGMLQuantizationType[kind]
        block, block_bytes = gguf.GGML_QUANT_SIZES[of]
        if tensor.shape[-1] % block:
            of, (block, block_bytes) = gguf.GGMLQuantizationType.F16, (1, 2)
        size = prod(tensor.shape) // block * block_bytes
        writer.add_tensor_info(tensor.name, list(tensor.shape), np.dtype(np.float32), size, raw_dtype=of)
        total += size
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    writer.close()
    data = sum(-(-info.nbytes // ALIGNMENT) * ALIGNMENT for part in writer.tensors for info in part.values())
    os.truncate(path, -(-path.stat().st_size // ALIGNMENT) * ALIGNMENT + data)
    return total


def _add_keys(writer: gguf.GGUFWriter, model: VirtualModel) -> None:
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    writer.add_vocab_size(model.vocabulary)
    writer.add_tokenizer_model("no_vocab")
    writer.add_context_length(model.context)
    writer.add_embedding_length(model.hidden)
    writer.add_block_count(model.layers)
    writer.add_head_count(model.heads)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_layer_norm_eps(1e-5)
    writer.add_key_length(model.head_dim)
    writer.add_value_length(model.latent[1] if model.latent else model.head_dim)
    writer.add_rope_dimension_count(model.latent[3] - model.latent[2] if model.latent else model.head_dim)
    if model.pattern:
        writer.add_head_count_kv([model.kv_heads if p == "*" else 0 for p in model.pattern])
        writer.add_feed_forward_length([model.ffn if p == "-" else 0 for p in model.pattern])
    else:
        writer.add_head_count_kv(model.kv_heads)
        writer.add_feed_forward_length(model.ffn)
    if model.window:
        writer.add_sliding_window(model.window)
    if model.experts:
        writer.add_expert_count(model.experts)
        writer.add_expert_used_count(model.experts_used)
        writer.add_expert_feed_forward_length(model.expert_ffn)
    if model.latent:
        lora, rank, _, key, value = model.latent
        if lora:
            writer.add_q_lora_rank(lora)
        writer.add_kv_lora_rank(rank)
        writer.add_key_length_mla(key)
        writer.add_value_length_mla(value)
        writer.add_leading_dense_block_count(model.dense_layers)
        writer.add_expert_shared_count(model.shared_ffn // model.expert_ffn)
        writer.add_expert_weights_scale(1.0)
    if model.ssm:
        kernel, inner, state, heads, groups = model.ssm
        writer.add_ssm_conv_kernel(kernel)
        writer.add_ssm_inner_size(inner)
        writer.add_ssm_state_size(state)
        writer.add_ssm_time_step_rank(heads)
        writer.add_ssm_group_count(groups)


def tensors(model: VirtualModel) -> Iterator[Tensor]:
    """Every tensor of `model`, in the order of the file."""
    yield Tensor("token_embd.weight", (model.vocabulary, model.hidden))
    yield Tensor("output_norm.weight", (model.hidden,), True)
    if not model.tied:
        yield Tensor("output.weight", (model.vocabulary, model.hidden))
    for layer in range(model.layers):
        for name, shape, full in _layer(model, layer):
            yield Tensor(f"blk.{layer}.{name}", shape, full or len(shape) == 1)


def _layer(model: VirtualModel, layer: int) -> Iterator[Tensor]:
    yield Tensor("attn_norm.weight", (model.hidden,))
    part = model.pattern[layer] if model.pattern else ""
    if part == "M":
        yield from _mamba(model)
        return
    if part != "-":
        yield from _latent(model) if model.latent else _attention(model)
    if part == "-":
        yield Tensor("ffn_up.weight", (model.ffn, model.hidden))
        yield Tensor("ffn_down.weight", (model.hidden, model.ffn))
    if not part:
        yield from _feed_forward(model, layer)


def _attention(model: VirtualModel) -> Iterator[Tensor]:
    queries, keys = model.heads * model.head_dim, model.kv_heads * model.head_dim
    widths = (("qkv", queries + 2 * keys),) if model.arch == "phi3" else (("q", queries), ("k", keys), ("v", keys))
    for word, width in widths:
        yield Tensor(f"attn_{word}.weight", (width, model.hidden))
        if model.bias:
            yield Tensor(f"attn_{word}.bias", (width,))
    yield Tensor("attn_output.weight", (model.hidden, queries))
    if model.qk_norm:
        yield Tensor("attn_q_norm.weight", (model.head_dim,))
        yield Tensor("attn_k_norm.weight", (model.head_dim,))
    if model.arch == "gpt-oss":
        yield Tensor("attn_output.bias", (model.hidden,))
        yield Tensor("attn_sinks.weight", (model.heads,))


def _latent(model: VirtualModel) -> Iterator[Tensor]:
    assert model.latent is not None
    lora, rank, nope, key, value = model.latent
    if lora:
        yield Tensor("attn_q_a.weight", (lora, model.hidden))
        yield Tensor("attn_q_a_norm.weight", (lora,))
    yield Tensor("attn_q_b.weight" if lora else "attn_q.weight", (model.heads * key, lora or model.hidden))
    yield Tensor("attn_kv_a_mqa.weight", (rank + key - nope, model.hidden))
    yield Tensor("attn_kv_a_norm.weight", (rank,))
    yield Tensor("attn_k_b.weight", (model.heads, rank, nope))
    yield Tensor("attn_v_b.weight", (model.heads, value, rank))
    yield Tensor("attn_output.weight", (model.hidden, model.heads * value))


def _feed_forward(model: VirtualModel, layer: int) -> Iterator[Tensor]:
    if model.post_norms:
        yield Tensor("post_attention_norm.weight", (model.hidden,))
        if model.arch != "gpt-oss":
            yield Tensor("post_ffw_norm.weight", (model.hidden,))
    if model.arch != "gpt-oss":
        yield Tensor("ffn_norm.weight", (model.hidden,))
    if not model.experts or layer < model.dense_layers:
        yield from _gated("", model.ffn, model)
        return
    yield Tensor("ffn_gate_inp.weight", (model.experts, model.hidden), True)
    if model.arch == "gpt-oss":
        yield Tensor("ffn_gate_inp.bias", (model.experts,))
    for word, shape in (
        ("gate", (model.expert_ffn, model.hidden)),
        ("up", (model.expert_ffn, model.hidden)),
        ("down", (model.hidden, model.expert_ffn)),
    ):
        yield Tensor(f"ffn_{word}_exps.weight", (model.experts, *shape))
        if model.arch == "gpt-oss":
            yield Tensor(f"ffn_{word}_exps.bias", (model.experts, shape[0]), True)
    if model.shared_ffn:
        yield from _gated("_shexp", model.shared_ffn, model)


def _gated(suffix: str, width: int, model: VirtualModel) -> Iterator[Tensor]:
    if model.arch == "phi3":
        yield Tensor("ffn_up.weight", (2 * width, model.hidden))
    else:
        yield Tensor(f"ffn_gate{suffix}.weight", (width, model.hidden))
        yield Tensor(f"ffn_up{suffix}.weight", (width, model.hidden))
    yield Tensor(f"ffn_down{suffix}.weight", (model.hidden, width))


def _mamba(model: VirtualModel) -> Iterator[Tensor]:
    assert model.ssm is not None
    kernel, inner, state, heads, groups = model.ssm
    convolved = inner + 2 * groups * state
    yield Tensor("ssm_in.weight", (inner + convolved + heads, model.hidden))
    yield Tensor("ssm_conv1d.weight", (convolved, kernel), True)
    yield Tensor("ssm_conv1d.bias", (convolved,))
    yield Tensor("ssm_dt.bias", (heads,))
    yield Tensor("ssm_a", (heads, 1), True)
    yield Tensor("ssm_d", (heads, 1), True)
    yield Tensor("ssm_norm.weight", (groups, inner // groups), True)
    yield Tensor("ssm_out.weight", (model.hidden, inner))


def main() -> None:
    """Write the file that the command line names."""
    parser = argparse.ArgumentParser(description="Write a GGUF of real size without weights.")
    parser.add_argument("model", choices=sorted(MODELS))
    parser.add_argument("out", type=Path)
    parser.add_argument("--type", default="F16", help="ggml type of the matrices")
    options = parser.parse_args()
    print(write_virtual_gguf(options.out, MODELS[options.model], options.type), "bytes of tensors")


if __name__ == "__main__":
    main()

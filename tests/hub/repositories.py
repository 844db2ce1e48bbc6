"""Small repositories for the tests, in the shapes of real ones: headers are made from a config, data is a hole."""

from __future__ import annotations

import json
import struct
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hub_server import File, Repo

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "architecture"))
from gguf_file import Q4_K, Q6_K, gguf

TINY: dict[str, Any] = {
    "architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "hidden_size": 1024, "intermediate_size": 3072, "num_hidden_layers": 4,
    "num_attention_heads": 16, "num_key_value_heads": 8, "head_dim": 128, "vocab_size": 32000, "max_position_embeddings": 32768,
    "rope_theta": 1000000, "tie_word_embeddings": False, "torch_dtype": "bfloat16", "hidden_act": "silu", "rms_norm_eps": 1e-6,
}  # fmt: skip
"""A dense model of 135 million parameters with the keys of Qwen3."""

TEMPLATE = "{% if tools %}…{% endif %}{% if enable_thinking %}<think>{% endif %}"
AWQ = {"quant_method": "awq", "bits": 4, "group_size": 128, "zero_point": True, "version": "gemm"}


def dense(config: Mapping[str, Any]) -> dict[str, tuple[str, list[int]]]:
    """The tensors of a dense model with such a config, by the names of Transformers: type and shape (rows first)."""
    hidden, width, vocab = config["hidden_size"], config["intermediate_size"], config["vocab_size"]
    heads, kv, dim = config["num_attention_heads"], config["num_key_value_heads"], config["head_dim"]
    shapes = {
        "self_attn.q_proj.weight": [heads * dim, hidden], "self_attn.k_proj.weight": [kv * dim, hidden], "self_attn.v_proj.weight": [kv * dim, hidden],
        "self_attn.o_proj.weight": [hidden, heads * dim], "self_attn.q_norm.weight": [dim], "self_attn.k_norm.weight": [dim],
        "mlp.gate_proj.weight": [width, hidden], "mlp.up_proj.weight": [width, hidden], "mlp.down_proj.weight": [hidden, width],
        "input_layernorm.weight": [hidden], "post_attention_layernorm.weight": [hidden],
    }  # fmt: skip
    found = {"model.embed_tokens.weight": [vocab, hidden], "lm_head.weight": [vocab, hidden], "model.norm.weight": [hidden]}
    found |= {f"model.layers.{layer}.{name}": shape for layer in range(config["num_hidden_layers"]) for name, shape in shapes.items()}
    return {name: ("BF16", shape) for name, shape in found.items()}


def safetensors(tensors: Mapping[str, tuple[str, list[int]]]) -> File:
    """A file with these tensors; the data is a hole."""
    records, at = {}, 0
    for name, (dtype, shape) in tensors.items():
        size = {"BF16": 2, "I32": 4, "U8": 1, "F8_E4M3": 1}[dtype]
        for n in shape:
            size *= n
        records[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + size]}
        at += size
    head = json.dumps(records).encode()
    return File(struct.pack("<Q", len(head)) + head, 8 + len(head) + at)


def sharded(tensors: Mapping[str, tuple[str, list[int]]], shards: int) -> dict[str, File]:
    """The same in several files, with their index."""
    names = list(tensors)
    found: dict[str, File] = {}
    index: dict[str, str] = {}
    for number in range(shards):
        file = f"model-{number + 1:05}-of-{shards:05}.safetensors"
        mine = names[number::shards]
        found[file] = safetensors({name: tensors[name] for name in mine})
        index |= dict.fromkeys(mine, file)
    found["model.safetensors.index.json"] = File(json.dumps({"metadata": {"total_size": 1}, "weight_map": index}).encode())
    return found


def model(config: Mapping[str, Any] = TINY, shards: int = 2, template: str = TEMPLATE, **other: Any) -> Repo:
    """A model's own repository."""
    files = sharded(dense(config), shards) if shards > 1 else {"model.safetensors": safetensors(dense(config))}
    files |= {
        "config.json": File(json.dumps(dict(config)).encode()),
        "tokenizer_config.json": File(json.dumps({"tokenizer_class": "Qwen2Tokenizer", "chat_template": template}).encode()),
        "tokenizer.json": File(b"{}" * 40), "README.md": File(b"# a model"), "figures/one.png": File(b"png"),
    }  # fmt: skip
    return Repo(files, card={"license": "apache-2.0"}, **other)


def awq(of: str, config: Mapping[str, Any] = TINY) -> Repo:
    """An AWQ checkpoint of a model."""
    files = {
        "config.json": File(json.dumps({**config, "quantization_config": AWQ}).encode()),
        "model.safetensors": safetensors({"model.embed_tokens.weight": ("BF16", [config["vocab_size"], config["hidden_size"]]),
                                          "model.layers.0.mlp.up_proj.qweight": ("I32", [1024, 3072 * 4])}),
    }  # fmt: skip
    return Repo(files, commit="b" * 40, card={"base_model": of, "license": "apache-2.0"}, quantized_from=of)


def gguf_repo(of: str, words: tuple[str, ...] = ("Q4_K_M", "Q8_0"), config: Mapping[str, Any] = TINY) -> Repo:
    """A repository of GGUF files of a model, with a projector."""
    layers, hidden, width, vocab = (config[key] for key in ("num_hidden_layers", "hidden_size", "intermediate_size", "vocab_size"))
    heads, kv, dim = config["num_attention_heads"], config["num_key_value_heads"], config["head_dim"]
    metadata = {
        "general.architecture": "qwen3", "general.file_type": 15, "qwen3.block_count": layers, "qwen3.embedding_length": hidden,
        "qwen3.feed_forward_length": width, "qwen3.attention.head_count": heads, "qwen3.attention.head_count_kv": kv,
        "qwen3.attention.key_length": dim, "qwen3.attention.value_length": dim, "qwen3.context_length": config["max_position_embeddings"],
        "tokenizer.ggml.tokens": ["a"] * 50,
    }  # fmt: skip
    tensors = [("token_embd.weight", (hidden, vocab), Q4_K), ("output.weight", (hidden, vocab), Q6_K)]
    for layer in range(layers):
        tensors += [
            (f"blk.{layer}.attn_q.weight", (hidden, heads * dim), Q4_K), (f"blk.{layer}.attn_k.weight", (hidden, kv * dim), Q4_K),
            (f"blk.{layer}.attn_v.weight", (hidden, kv * dim), Q6_K), (f"blk.{layer}.attn_output.weight", (heads * dim, hidden), Q4_K),
            (f"blk.{layer}.ffn_gate.weight", (hidden, width), Q4_K), (f"blk.{layer}.ffn_up.weight", (hidden, width), Q4_K),
            (f"blk.{layer}.ffn_down.weight", (width, hidden), Q6_K),
        ]  # fmt: skip
    raw = gguf(metadata, tensors)
    head = raw.rstrip(b"\0")
    files = {f"tiny-{word}.gguf": File(head, len(raw)) for word in words} | {"mmproj-F16.gguf": File(b"GGUF", 4096)}
    return Repo(files, commit="c" * 40, card={"base_model": [of]}, quantized_from=of)

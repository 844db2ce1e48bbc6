"""A GGUF file's header as a `ModelArchitecture`: exact bytes, and the shape for sizing. Floor 3, pure. Supports every text-generating
llama.cpp architecture whose keys describe the caches of its layers."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection
from math import prod
from typing import Literal

from generator.architecture.families import Families, family_of_gguf
from generator.architecture.fields import MAX_TOKENS
from generator.architecture.gguf_caches import Keys, caches
from generator.architecture.gguf_tensors import LayerTensors, folded, gather
from generator.architecture.shape import CheckpointQuantization, ModelArchitecture
from generator.readers.gguf_header import GgufHeader
from generator.readers.resources import shipped

_DYNAMIC = re.compile(r"(?<![a-z0-9])(ud-i?q[0-9][a-z0-9_]*)(?=[.\s-]|\Z)")
_GUESSED = 1024


def from_gguf(header: GgufHeader, families: Families, methods: Collection[str] = ()) -> ModelArchitecture:
    """The architecture that `header` describes; `tensor_bytes` and `stored` are exact. A dynamic type (`UD-…`) is told from the file's name
    or `general.name`, where it is one of `methods`. Raises `InputError`: `unknown-architecture` (something is missing), `gguf-corrupt` (an
    impossible value)."""
    keys = Keys(header)
    if header.metadata.get("general.type") == "mmproj" or keys.arch == "clip":
        raise keys.unknown("this is a vision projector (mmproj); name the language model's file instead")
    if keys.values.get("attention.causal") is False:
        raise keys.unknown("this is an encoder, which does not generate text")
    predicting = keys.integer("nextn_predict_layers", default=0, high=keys.layers)
    main_layers = keys.layers - predicting
    if not main_layers:
        raise keys.unknown("all its layers are for multi-token prediction")
    tensors = gather(header.tensors, keys.layers, main_layers)
    embedding = next((m for m in tensors.matrices if m.name == "token_embd"), None)
    if embedding is None:
        raise keys.unknown("the tensor token_embd.weight is missing")
    hidden = keys.integer("embedding_length", low=1)
    heads = keys.integer("attention.head_count", default=0)
    head_dim = keys.integer("attention.key_length", default=hidden // heads if heads else 0)
    experts = keys.integer("expert_count", default=0)
    kind = _gguf_type(header, methods)
    model_type, family = family_of_gguf(families, keys.arch, lambda key: bool(keys.values.get(key)))
    return ModelArchitecture(
        model_type=model_type, layers=main_layers, hidden_size=hidden,
        intermediate_size=_width(tensors, "ffn_down") or keys.integer("feed_forward_length", default=0), vocab_size=embedding.rows,
        attention_heads=heads, kv_heads=keys.integer("attention.head_count_kv", default=heads),
        head_dim=keys.integer("attention.key_length_mla", default=head_dim), max_context=keys.integer("context_length", default=0, high=MAX_TOKENS),
        dtype=_dtype(header), matrices=tensors.matrices, caches=caches(keys, tensors, main_layers, family), experts=experts,
        experts_per_token=min(experts, keys.integer("expert_used_count", default=0)), moe_intermediate_size=_width(tensors, "ffn_down_exps"),
        tied_embeddings=not any(m.name == "output" for m in tensors.matrices), rotary_dim=keys.integer("rope.dimension_count", default=head_dim),
        quantization=_quantization(header, kind), tensor_bytes=header.tensor_bytes, basis="gguf", gguf_type=kind,
        stored=folded(header.tensors, main_layers),
    )  # fmt: skip


def _width(tensors: LayerTensors, word: str) -> int:
    return max((m.columns for m in tensors.matrices if m.name == word), default=0)


def _gguf_type(header: GgufHeader, methods: Collection[str]) -> str | None:
    """The file's type as a method name, `gguf-q4_k_m`; by its most frequent tensor type if not declared. `general.file_type` has no word
    for dynamic types: such files declare any plain one."""
    for name in (header.name, str(header.metadata.get("general.name", ""))):
        dynamic = _DYNAMIC.search(name.lower())
        if dynamic and f"gguf-{dynamic[1]}" in methods:
            return f"gguf-{dynamic[1]}"
    said, names = header.metadata.get("general.file_type"), shipped("gguf.json")
    if type(said) is int and (word := names["file_types"].get(str(said & ~_GUESSED))):
        return f"gguf-{word}"
    main = _bytes_by_type(header).most_common(1)
    return "gguf-" + names["usual"].get(main[0][0], main[0][0].lower()) if main else None


def _bytes_by_type(header: GgufHeader) -> Counter[str]:
    sizes: Counter[str] = Counter()
    for tensor in header.tensors:
        if len(tensor.shape) > 1:
            sizes[tensor.type] += tensor.size
    return sizes


def _dtype(header: GgufHeader) -> Literal["bf16", "fp16", "fp32"]:
    types = _bytes_by_type(header)
    if "bf16" in types:
        return "bf16"
    return "fp32" if set(types) == {"f32"} else "fp16"


def _quantization(header: GgufHeader, kind: str | None) -> CheckpointQuantization | None:
    if kind is None or kind in ("gguf-f32", "gguf-f16", "gguf-bf16"):
        return None
    values = sum(prod(t.shape) for t in header.tensors)
    return CheckpointQuantization(kind, "gguf", round(8 * header.tensor_bytes / values, 4))

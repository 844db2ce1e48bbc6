"""Architectures for the tests of GGUF sizes, from the few facts that the data files state."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from generator.architecture.shape import CacheGroup, Matrix, ModelArchitecture, Role

ROOT = Path(__file__).resolve().parents[2]
FACTS: dict[str, Any] = yaml.safe_load((ROOT / "rules/facts/methods.yaml").read_text(encoding="utf-8"))
METHODS: dict[str, Any] = FACTS["methods"]
GGML_TYPES: dict[str, Any] = FACTS["ggml_types"]


def model(facts: dict[str, Any]) -> ModelArchitecture:
    """A grouped-query model, dense or with experts in every layer."""
    experts = facts.get("experts", 0)
    return ModelArchitecture(
        model_type=facts["type"],
        layers=facts["layers"],
        hidden_size=facts["hidden"],
        intermediate_size=facts["ffn"],
        vocab_size=facts["vocab"],
        attention_heads=facts["heads"],
        kv_heads=facts["kv_heads"],
        head_dim=facts["head_dim"],
        max_context=131072,
        dtype="bf16",
        matrices=tuple(_matrices(facts)),
        caches=(CacheGroup("full", facts["layers"], facts["kv_heads"], facts["head_dim"], facts["head_dim"]),),
        experts=experts,
        experts_per_token=facts.get("experts_used", 0),
        moe_intermediate_size=facts["ffn"] if experts else 0,
        tied_embeddings=facts.get("tied", False),
    )


def _matrices(facts: dict[str, Any]) -> Iterator[Matrix]:
    layers, hidden, ffn = facts["layers"], facts["hidden"], facts["ffn"]
    query, key = facts["heads"] * facts["head_dim"], facts["kv_heads"] * facts["head_dim"]
    experts = facts.get("experts", 0)

    def each(name: str, role: Role, rows: int, columns: int, many: int = 1) -> Matrix:
        return Matrix(name, role, rows, columns, many * layers, layer_last=layers - 1)

    yield Matrix("token_embd", "embedding", facts["vocab"], hidden, 1)
    yield Matrix("output_norm", "norm", hidden, 1, 1)
    if not facts.get("tied"):
        yield Matrix("output", "lm_head", facts["vocab"], hidden, 1)
    for name, rows in (("attn_q", query), ("attn_k", key), ("attn_v", key)):
        yield each(name, "attention", rows, hidden)
        if facts.get("qkv_bias"):
            yield each(f"{name}.bias", "attention", rows, 1)
    yield each("attn_output", "attention", hidden, query)
    for name in ("attn_norm", "ffn_norm", *facts.get("norms", ())):
        yield each(name, "norm", hidden, 1)
    if experts:
        yield each("ffn_gate_inp", "router", experts, hidden)
    suffix, role, many = ("_exps", "expert", experts) if experts else ("", "mlp", 1)
    yield each("ffn_gate" + suffix, role, ffn, hidden, many)  # type: ignore[arg-type]
    yield each("ffn_up" + suffix, role, ffn, hidden, many)  # type: ignore[arg-type]
    yield each("ffn_down" + suffix, role, hidden, ffn, many)  # type: ignore[arg-type]

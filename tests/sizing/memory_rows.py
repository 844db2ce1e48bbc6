"""Measured starts and the shipped thresholds, read as plainly as can be: the rule book is not under test here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from shipped_thresholds import THRESHOLDS

from generator.architecture.shape import CacheGroup, CheckpointQuantization, ModelArchitecture
from generator.quantity import version_key
from generator.sizing.footprint import Numbers

ROOT = Path(__file__).resolve().parents[2]


def data(engine: str) -> dict[str, Any]:
    """The committed rows of one engine."""
    content: dict[str, Any] = yaml.safe_load((ROOT / f"tests/data/memory/{engine}.yaml").read_text(encoding="utf-8"))
    return content


def numbers(version: str, replaced: dict[str, float] | None = None) -> Numbers:
    """The thresholds for an engine version: the last row whose `since` is not above it, else the first."""
    chosen: dict[str, float] = {}
    for name, entry in THRESHOLDS.items():
        rows = entry.get("by_version")
        if rows is None:
            chosen[name] = entry["value"]
            continue
        reached = [row for row in rows if version_key(row["since"]) <= version_key(version)]
        chosen[name] = (reached or rows[:1])[-1]["value"]
    return {**chosen, **(replaced or {})}.__getitem__


def architecture(facts: dict[str, Any]) -> ModelArchitecture:
    """A model from the few facts that the data files state."""
    method = facts.get("method")
    window = facts.get("window", 0)
    return ModelArchitecture(
        model_type="test",
        layers=facts["layers"],
        hidden_size=facts["hidden"],
        intermediate_size=facts["ffn"],
        vocab_size=facts["vocab"],
        attention_heads=facts["heads"],
        kv_heads=facts.get("kv_heads", facts["heads"]),
        head_dim=facts["head_dim"],
        max_context=131072,
        dtype="bf16",
        matrices=(),
        caches=(CacheGroup("sliding", 1, window=window),) if window else (),
        experts=facts.get("experts", 0),
        experts_per_token=facts.get("active_experts", 0),
        moe_intermediate_size=facts.get("expert_ffn", 0),
        multimodal=facts.get("multimodal", False),
        quantization=CheckpointQuantization(method, method, 4.25) if method else None,
    )


SMALL = architecture({"layers": 32, "hidden": 4096, "ffn": 14336, "vocab": 128256, "heads": 32, "head_dim": 128})
"""Llama-3-8B's shape."""


def percent(told: float, logged: float) -> float:
    """The error of an estimate in % of what was logged."""
    return 100 * (told - logged) / logged

"""Text Generation Inference. Its cache keeps every token of every layer."""

from __future__ import annotations

from generator.engines.tgi import memory
from generator.sizing.cache import CacheCost, CacheRules

__all__ = ["CACHE", "SOURCES", "memory"]

CACHE = CacheRules(CacheCost, keeps_all=True)
SOURCES = {"kv_cache": "tgi-flash-causal-lm"}

"""SGLang."""

from __future__ import annotations

from generator.engines.sglang import memory
from generator.engines.sglang.cache import CACHE

__all__ = ["CACHE", "SOURCES", "memory"]

SOURCES = {"kv_cache": "sglang-kv-cache-configurator"}

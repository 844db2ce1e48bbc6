"""vLLM."""

from __future__ import annotations

from generator.engines.vllm import memory
from generator.engines.vllm.cache import CACHE

__all__ = ["CACHE", "SOURCES", "memory"]

SOURCES = {"kv_cache": "vllm-profile-0-33", "kv_cache on a CPU": "vllm-cpu-worker"}

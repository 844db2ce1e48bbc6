"""Text Generation Inference. Its cache keeps every token of every layer; its speed was not measured, so vLLM's bands stand in."""

from __future__ import annotations

from generator.engines import vllm
from generator.engines.room import EngineRoom
from generator.engines.tgi import memory
from generator.sizing.cache import CacheCost, CacheRules

__all__ = ["ROOM", "memory"]

ROOM = EngineRoom(memory, CacheRules(CacheCost, keeps_all=True), {"kv_cache": "tgi-flash-causal-lm"}, vllm.ROOM.speed._replace(measured=False))

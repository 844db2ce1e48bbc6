"""SGLang."""

from __future__ import annotations

from generator.engines.room import EngineRoom, EngineSpeed
from generator.engines.sglang import memory
from generator.engines.sglang.cache import CACHE

__all__ = ["ROOM", "memory"]

ROOM = EngineRoom(
    memory, CACHE, {"kv_cache": "sglang-kv-cache-configurator"}, EngineSpeed("sglang", "SGLang", prompts_first=True),
    pools={"sliding_tokens": "sglang.sliding_tokens", "state_ratio": "sglang.state_ratio"},
    adjustable={"cuda_graphs": ("sglang.graph_base_gib", "sglang.graph_sequence_mib")},
)  # fmt: skip

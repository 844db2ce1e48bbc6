"""TensorRT-LLM. Its cache keeps every token of every layer, in blocks of 32."""

from __future__ import annotations

from generator.engines.room import EngineRoom, EngineSpeed
from generator.engines.tensorrt_llm import memory
from generator.sizing.cache import CacheCost, CacheRules

__all__ = ["ROOM", "memory"]

ROOM = EngineRoom(
    memory, CacheRules(CacheCost, block=32, keeps_all=True), {"kv_cache": "tensorrt-llm-waterfall"}, EngineSpeed("tensorrt-llm", "TensorRT-LLM"),
    adjustable={
        "activations": ("tensorrt_llm.forward_hidden_copies", "tensorrt_llm.forward_mlp_copies"),
        "runtime": ("tensorrt_llm.outside_torch_gib", "tensorrt_llm.nccl_gib"),
    },
)  # fmt: skip

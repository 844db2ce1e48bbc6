"""llama.cpp."""

from __future__ import annotations

from generator.engines.llama_cpp.cache import SlotCache
from generator.engines.llama_cpp.memory import LlamaCppMemory
from generator.engines.room import EngineRoom, EngineSpeed
from generator.sizing.cache import CacheRules

__all__ = ["ROOM"]

ROOM = EngineRoom(
    LlamaCppMemory("llama_cpp", unified=False), CacheRules(SlotCache, by_layer=True, state_bits=32, conv_bits=32),
    {"weights": "lcpp-quant-src", "kv_cache": "llama-cpp-measured", "activations": "llama-cpp-buffers"},
    EngineSpeed("local", "llama.cpp", local=True),
    adjustable={"activations": ("llama_cpp.layer_hidden_copies", "llama_cpp.logits_hidden_copies"), "runtime": ("llama_cpp.context_mib",)},
)  # fmt: skip

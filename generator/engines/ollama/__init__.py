"""Ollama: llama.cpp's server, with one cache for all slots (`--kv-unified`)."""

from __future__ import annotations

from generator.engines.llama_cpp.cache import UnifiedCache
from generator.engines.llama_cpp.memory import LlamaCppMemory
from generator.sizing.cache import CacheRules

__all__ = ["CACHE", "MEMORY", "SOURCES"]

MEMORY = LlamaCppMemory("ollama", unified=True)
CACHE = CacheRules(UnifiedCache, by_layer=True, state_bits=32, conv_bits=32)
SOURCES = {"weights": "lcpp-quant-src", "kv_cache": "llama-cpp-measured", "activations": "llama-cpp-buffers"}

"""Ollama: llama.cpp's server, with one cache for all slots (`--kv-unified`)."""

from __future__ import annotations

from generator.engines import llama_cpp
from generator.engines.llama_cpp.cache import UnifiedCache
from generator.engines.llama_cpp.memory import LlamaCppMemory

__all__ = ["ROOM"]

ROOM = llama_cpp.ROOM._replace(memory=LlamaCppMemory("ollama", unified=True), cache=llama_cpp.ROOM.cache._replace(counted=UnifiedCache))

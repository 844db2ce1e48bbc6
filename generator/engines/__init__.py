"""What only one engine needs, a room each: its memory law, its cache, its log, its benchmark.

Floor 4, pure. `ENGINES` is the registry, by the names that specs use; what few commands need (logs) is imported by them.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple, Protocol

from generator.architecture.shape import ModelArchitecture
from generator.engines import llama_cpp, ollama, sglang, tensorrt_llm, tgi, vllm
from generator.sizing import cache
from generator.sizing.cache import CacheCost, CacheRules
from generator.sizing.footprint import Device, Fixed, Layout, Load, Numbers


class EngineMemory(Protocol):
    """The memory law of an engine, in bytes of the fullest GPU; `numbers` gives thresholds for the engine version that is planned.

    What is left for the cache is `budget - weights - fixed.total`, true for each engine's own account. Given terms in place of
    numbers, each answer explains itself (`generator.sizing.term`).
    """

    def fixed(self, architecture: ModelArchitecture, layout: Layout, load: Load, device: Device, weights: int, numbers: Numbers) -> Fixed:
        """Activations, CUDA graphs and runtime on the fullest GPU, in bytes."""
        ...

    def budget(self, device: Device, weights: int, fixed: Fixed, fraction: float, numbers: Numbers) -> int:
        """Bytes that the engine will use in all (weights, fixed and KV pool) under its memory fraction."""
        ...

    def fraction_for(self, device: Device, weights: int, fixed: Fixed, numbers: Numbers) -> float:
        """The memory fraction to emit."""
        ...


class EngineRoom(NamedTuple):
    """One engine: its memory law, how it keeps a cache, and the source key of each account (`weights` where it has its own)."""

    memory: EngineMemory
    cache: CacheRules
    sources: Mapping[str, str]


ENGINES: Mapping[str, EngineRoom] = MappingProxyType(
    {
        "vllm": EngineRoom(vllm.memory, vllm.CACHE, vllm.SOURCES),
        "sglang": EngineRoom(sglang.memory, sglang.CACHE, sglang.SOURCES),
        "tensorrt-llm": EngineRoom(tensorrt_llm.memory, tensorrt_llm.CACHE, tensorrt_llm.SOURCES),
        "tgi": EngineRoom(tgi.memory, tgi.CACHE, tgi.SOURCES),
        "llama.cpp": EngineRoom(llama_cpp.MEMORY, llama_cpp.CACHE, llama_cpp.SOURCES),
        "ollama": EngineRoom(ollama.MEMORY, ollama.CACHE, ollama.SOURCES),
    }
)


def cache_cost(
    architecture: ModelArchitecture, layout: Layout, kv_bits: float, engine: str, *,
    batched_tokens: int = 8192, sequences: int = 1, sliding_tokens: float = 1.0, state_ratio: float = 0.0,
) -> CacheCost:  # fmt: skip
    """What an engine's cache costs on the fullest GPU; the arguments are those of `generator.sizing.cache.cache_cost`."""
    return cache.cache_cost(
        architecture, layout, kv_bits, ENGINES[engine].cache,
        batched_tokens=batched_tokens, sequences=sequences, sliding_tokens=sliding_tokens, state_ratio=state_ratio,
    )  # fmt: skip

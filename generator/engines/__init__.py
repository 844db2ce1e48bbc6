"""What only one engine needs, a room each: its memory law, its cache, its speed, its log, its benchmark.

Floor 4, pure but for `rules/engines.json`. `ENGINES` is the registry, by the names that specs use. Logs and benchmarks are imported lazily:
a plan needs neither."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from generator.architecture.shape import ModelArchitecture
from generator.engines.llama_cpp.memory import LlamaCppMemory, SlotCache, UnifiedCache
from generator.engines.room import EngineMemory, EngineRoom, EngineSpeed
from generator.engines.sglang import memory as sglang
from generator.engines.sglang.memory import PooledCache
from generator.engines.tensorrt_llm import memory as tensorrt_llm
from generator.engines.tgi import memory as tgi
from generator.engines.vllm import memory as vllm
from generator.engines.vllm.memory import PagedCache
from generator.readers.resources import shipped
from generator.sizing import cache
from generator.sizing.cache import CacheCost, CacheRules
from generator.sizing.footprint import Layout, Numbers

if TYPE_CHECKING:
    from generator.engines.room import Benchmark
    from generator.engines.start_log import LogParser

_LAWS: Mapping[str, tuple[EngineMemory, type[CacheCost]]] = {
    "vllm": (vllm, PagedCache), "sglang": (sglang, PooledCache), "tensorrt-llm": (tensorrt_llm, CacheCost), "tgi": (tgi, CacheCost),
    "llama.cpp": (LlamaCppMemory("llama_cpp", unified=False), SlotCache), "ollama": (LlamaCppMemory("ollama", unified=True), UnifiedCache),
}  # fmt: skip


def _room(engine: str, said: Mapping[str, Any]) -> EngineRoom:
    memory, counted = _LAWS[engine]
    made = {"memory": memory, "cache": CacheRules(counted, **said["cache"]), "speed": EngineSpeed(**said["speed"])}
    return EngineRoom(**{key: value for key, value in said.items() if key != "bench"} | made)


ENGINES: Mapping[str, EngineRoom] = MappingProxyType({engine: _room(engine, said) for engine, said in shipped("engines.json").items()})


def cache_cost(
    architecture: ModelArchitecture, layout: Layout, kv_bits: float, engine: str, *,
    batched_tokens: int = 8192, sequences: int = 1, numbers: Numbers | None = None,
) -> CacheCost:  # fmt: skip
    """What an engine's cache costs on the fullest GPU; `numbers` gives the sizes of its pools, where it has several."""
    room = ENGINES[engine]
    pools = {name: numbers(threshold) for name, threshold in room.pools.items()} if numbers and room.pools else {}
    return cache.cache_cost(architecture, layout, kv_bits, room.cache, batched_tokens=batched_tokens, sequences=sequences, **pools)


def log_parsers() -> tuple[LogParser, ...]:
    """The readers of start-up logs."""
    return tuple(_module(engine, "log") for engine in ("vllm", "sglang", "llama.cpp", "tensorrt-llm"))


def benchmarks() -> Mapping[str, Benchmark]:
    """The benchmarks that engines bring, by engine."""
    from generator.engines.room import Benchmark

    served = {engine: Benchmark(**said["bench"]) for engine, said in shipped("engines.json").items() if "bench" in said}
    return {**served, "llama.cpp": _module("llama.cpp", "bench").BENCH}


def _module(engine: str, name: str) -> Any:
    return import_module(f"generator.engines.{engine.replace('.', '_').replace('-', '_')}.{name}")

"""What only one engine needs, a room each: its memory law, its cache, its speed, its log, its benchmark.

Floor 4, pure. `ENGINES` is the registry, by the names that specs use. Logs and benchmarks are imported lazily: a plan needs neither."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from generator.architecture.shape import ModelArchitecture
from generator.engines import llama_cpp, ollama, sglang, tensorrt_llm, tgi, vllm
from generator.engines.room import EngineRoom
from generator.sizing import cache
from generator.sizing.cache import CacheCost
from generator.sizing.footprint import Layout, Numbers

if TYPE_CHECKING:
    from generator.engines.benchmark import Benchmark
    from generator.engines.start_log import LogParser

ENGINES: Mapping[str, EngineRoom] = MappingProxyType(
    {"vllm": vllm.ROOM, "sglang": sglang.ROOM, "tensorrt-llm": tensorrt_llm.ROOM, "tgi": tgi.ROOM, "llama.cpp": llama_cpp.ROOM, "ollama": ollama.ROOM}
)


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
    return tuple(_module(engine, "log").PARSER for engine in ("vllm", "sglang", "llama.cpp", "tensorrt-llm"))


def benchmarks() -> Mapping[str, Benchmark]:
    """The benchmarks that engines bring, by engine."""
    return {engine: _module(engine, "bench") for engine in ("vllm", "sglang", "llama.cpp")}


def _module(engine: str, name: str) -> Any:
    """A module of an engine's room; of its benchmark `Benchmark` says what is in it."""
    return import_module(f"generator.engines.{engine.replace('.', '_').replace('-', '_')}.{name}")

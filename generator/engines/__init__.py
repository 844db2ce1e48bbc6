"""What only one engine needs, a room each: its memory law, its cache, its speed, its log, its benchmark.

Floor 4, pure. `ENGINES` is the registry, by the names that specs use. Logs and benchmarks are imported lazily: a plan needs neither.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

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
    {
        "vllm": vllm.ROOM,
        "sglang": sglang.ROOM,
        "tensorrt-llm": tensorrt_llm.ROOM,
        "tgi": tgi.ROOM,
        "llama.cpp": llama_cpp.ROOM,
        "ollama": ollama.ROOM,
    }
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
    from generator.engines.llama_cpp import log as llama_cpp_log
    from generator.engines.sglang import log as sglang_log
    from generator.engines.tensorrt_llm import log as tensorrt_llm_log
    from generator.engines.vllm import log as vllm_log

    return vllm_log, sglang_log, llama_cpp_log, tensorrt_llm_log


def benchmarks() -> Mapping[str, Benchmark]:
    """The benchmarks that engines bring, by engine."""
    from generator.engines.llama_cpp import bench as llama_cpp_bench
    from generator.engines.sglang import bench as sglang_bench
    from generator.engines.vllm import bench as vllm_bench

    return {"vllm": vllm_bench, "sglang": sglang_bench, "llama.cpp": llama_cpp_bench}

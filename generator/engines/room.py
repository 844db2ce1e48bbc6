"""The protocol of an engine's room, and of an engine's own benchmark: the words that start it, and what its result says. Floor 4, pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol, TypeVar

from generator.architecture.shape import ModelArchitecture
from generator.record import dataclass
from generator.sizing.cache import CacheRules
from generator.sizing.footprint import Device, Fixed, Layout, Load, Numbers


class EngineMemory(Protocol):
    """The memory law of an engine, in bytes of the fullest GPU; `numbers` gives thresholds for the engine version that is planned.

    What is left for the cache is `budget - weights - fixed.total`, true for each engine's own account. Given terms in place of
    numbers, each answer explains itself (`generator.sizing.term`)."""

    def fixed(self, architecture: ModelArchitecture, layout: Layout, load: Load, device: Device, weights: int, numbers: Numbers) -> Fixed:
        """Activations, CUDA graphs and runtime on the fullest GPU, in bytes."""

    def budget(self, device: Device, weights: int, fixed: Fixed, fraction: float, numbers: Numbers) -> int:
        """Bytes that the engine will use in all (weights, fixed and KV pool) under its memory fraction."""

    def fraction_for(self, device: Device, weights: int, fixed: Fixed, numbers: Numbers, stretched: bool = False) -> float:
        """The memory fraction to emit: the engine's usual one where the driver leaves as much; `stretched`, the most that may be asked for."""


class EngineSpeed(NamedTuple):
    """How an engine's steps are timed.

    `band` is its class of measurements among the thresholds `speed.band.*`, `title` that class for a reader, `measured` whether its
    measurements are of this engine. `local`: one process that reads a GGUF, layers spread over the GPUs one after the other.
    `prompts_first`: prompts that wait are read before any token is made, so requests that come (or end) together stay together."""

    band: str
    title: str
    measured: bool = True
    local: bool = False
    prompts_first: bool = False


class EngineRoom(NamedTuple):
    """One engine: its memory law, how it keeps a cache, the source key of each account (`weights` where it has its own), its speed.

    `pools` are thresholds that its cache reads, by the argument of `cache_cost`. `adjustable` are the thresholds that may explain a
    term of its start-up log (`calibrate`), the most likely first. `cold` is the one of what a first start, which compiles, takes from the cache."""

    memory: EngineMemory
    cache: CacheRules
    sources: Mapping[str, str]
    speed: EngineSpeed
    pools: Mapping[str, str] = MappingProxyType({})
    adjustable: Mapping[str, tuple[str, ...]] = MappingProxyType({})
    cold: str | None = None


Word = TypeVar("Word")
"""A word of a command line; the renderer has more than text."""


class BenchLoad(NamedTuple):
    """What is measured: the server, the load of the spec, the candidate's settings; the result is written to `result`."""

    base_url: str
    request_name: str
    input_tokens: str
    output_tokens: str
    concurrency: int
    requests: int
    batched_tokens: int
    kv_cache_dtype: str
    settings: Mapping[str, Any]
    result: str


class Benchmark(NamedTuple):
    """An engine's benchmark, which sends random requests to the running server: its command, with the names of what a load says.

    `backends` are the words by which results name it; `appends`: it adds its result to a file that is there; `prints`: it measures kernels
    without a server and prints its result."""

    backends: Sequence[str]
    words: Sequence[str]
    appends: bool = False
    prints: bool = False

    def command(self, load: BenchLoad, model: Word, server: Sequence[Word | str]) -> list[Word | str]:
        """The words that start it; empty where it cannot measure this load. `server` are the arguments of the server."""
        said: dict[str, Word | str] = {**{f"{{{name}}}": str(value) for name, value in load._asdict().items()}, "{model}": model}
        return [said.get(word, word) for word in self.words if word != "--trust-remote-code" or load.settings.get("trust_remote_code")]


@dataclass(frozen=True, slots=True)
class Result:
    """What one benchmark measured; None where it does not say. Times in milliseconds, lengths are means."""

    engine: str | None
    concurrency: int
    input_tokens: float
    output_tokens: float
    output_per_second: float | None
    ttft_ms: float | None
    tpot_ms: float | None


def figure_of(data: Mapping[str, Any], *names: str) -> float | None:
    """The first of `names` that is a positive number."""
    for name in names:
        value = data.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 1e15:
            return float(value)
    return None

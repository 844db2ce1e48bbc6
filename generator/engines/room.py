"""The protocol of an engine's room. Floor 4, pure."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple, Protocol

from generator.architecture.shape import ModelArchitecture
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

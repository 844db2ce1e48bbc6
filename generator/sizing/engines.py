"""The memory model of each engine, by the name that specs use.

Floor 2, pure. Every model answers three questions in bytes of the fullest GPU: what it needs beside weights and cache,
how much it uses in all under a memory fraction, and which fraction to emit. What is left for the cache is
`budget - weights - fixed.total`, true for each engine's own account.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Protocol

from generator.architecture.shape import ModelArchitecture
from generator.sizing import llama_cpp, sglang, tensorrt_llm, tgi, vllm
from generator.sizing.footprint import Device, Fixed, Layout, Load, Numbers


class EngineMemory(Protocol):
    """What sizing asks of an engine; `numbers` gives thresholds for the engine version that is planned."""

    def fixed(
        self,
        architecture: ModelArchitecture,
        layout: Layout,
        load: Load,
        device: Device,
        weights: int,
        numbers: Numbers,
    ) -> Fixed:
        """Activations, CUDA graphs and runtime on the fullest GPU, in bytes."""
        ...

    def budget(self, device: Device, weights: int, fixed: Fixed, fraction: float, numbers: Numbers) -> int:
        """Bytes that the engine will use in all (weights, fixed and KV pool) under its memory fraction."""
        ...

    def fraction_for(self, device: Device, weights: int, fixed: Fixed, numbers: Numbers) -> float:
        """The memory fraction to emit."""
        ...


MEMORY: Mapping[str, EngineMemory] = MappingProxyType(
    {
        "vllm": vllm,
        "sglang": sglang,
        "tensorrt-llm": tensorrt_llm,
        "tgi": tgi,
        "llama.cpp": llama_cpp.LLAMA_CPP,
        "ollama": llama_cpp.OLLAMA,
    }
)

"""vLLM."""

from __future__ import annotations

from generator.engines.room import EngineRoom, EngineSpeed
from generator.engines.vllm import memory
from generator.engines.vllm.cache import CACHE

__all__ = ["ROOM", "memory"]

ROOM = EngineRoom(
    memory, CACHE, {"kv_cache": "vllm-profile-0-33", "kv_cache on a CPU": "vllm-cpu-worker"}, EngineSpeed("vllm", "vLLM"),
    cold="vllm.cold_start_gib",
    adjustable={
        "activations": ("vllm.activation_base_gib", "vllm.sampler_bytes", "vllm.forward_hidden_copies"),
        "cuda_graphs": ("vllm.graph_base_gib", "vllm.graph_layer_mib"),
        "runtime": ("vllm.non_torch_gib", "vllm.non_torch_tp_fast_gib", "vllm.non_torch_tp_gib", "vllm.non_torch_pp_gib"),
    },
)  # fmt: skip

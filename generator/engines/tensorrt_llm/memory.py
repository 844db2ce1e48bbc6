"""TensorRT-LLM (PyTorch backend): the pool is a fraction of what the profile left free. Bytes.

Floor 4, pure. KV pool = free_gpu_memory_fraction · (capacity - weights - activations - outside torch), where the profile's own temporary KV
cache is given back (source `tensorrt-llm-waterfall`: 11 starts, worst residual 0.01 GiB). `activations` here is the logged "dynamic" memory
without that temporary cache. The CUDA graphs come after the pool and are in nobody's account: the fraction has to leave room for them."""

from __future__ import annotations

from math import floor, log2

from generator.architecture.shape import ModelArchitecture
from generator.quantity import GIB
from generator.sizing.footprint import FLOAT, Device, Fixed, Layout, Load, Numbers, forward_bytes, free_share, moe_workspace
from generator.sizing.term import largest, part, smallest, whole


def fixed(architecture: ModelArchitecture, layout: Layout, load: Load, device: Device, weights: int, numbers: Numbers) -> Fixed:
    """Activations over `max_num_tokens`, graphs with their fp32 logits over `max_batch_size`, and the CUDA side, bytes.

    The logits term is the size of the allocation that a logged start failed on: 1002 MiB = 2048 × 128,256 × 4 bytes."""
    tokens = load.batched_tokens
    activations = forward_bytes(architecture, layout, tokens, numbers("tensorrt_llm.forward_mlp_copies"), numbers("tensorrt_llm.forward_hidden_copies"))
    activations = part("forward", activations) + part("experts", moe_workspace(architecture, layout, tokens))
    graphs = 0.0
    if not load.enforce_eager:
        captured = smallest(load.max_num_seqs, numbers("tensorrt_llm.graph_max_sequences"))
        graphs = numbers("tensorrt_llm.graph_base_gib") * GIB + FLOAT * captured * architecture.vocab_size
    runtime = numbers("tensorrt_llm.outside_torch_gib")
    if layout.gpus > 1:
        runtime += numbers("tensorrt_llm.nccl_gib") + numbers("tensorrt_llm.nccl_doubling_gib") * log2(layout.gpus)
    if device.compute_capability >= numbers("tensorrt_llm.large_context_capability"):
        runtime += numbers("tensorrt_llm.large_context_gib")
    return Fixed(whole(activations), whole(graphs), whole(runtime * GIB))


def budget(device: Device, weights: int, fixed: Fixed, fraction: float, numbers: Numbers) -> int:
    """Bytes in use in all: everything fixed, and the fraction of the rest that becomes the pool."""
    free = device.capacity - weights - fixed.activations - fixed.runtime
    return weights + fixed.total + whole(largest(0, free) * fraction)


def fraction_for(device: Device, weights: int, fixed: Fixed, numbers: Numbers, stretched: bool = False) -> float:
    """`free_gpu_memory_fraction` to emit: the ceiling, or less where graphs and a margin need more of what is free."""
    free = device.capacity - weights - fixed.activations - fixed.runtime
    if free <= 0:
        return 0.0
    system = device.capacity * (1.0 - free_share(device, numbers))
    room = 1.0 - (fixed.cuda_graphs + numbers("tensorrt_llm.margin_gib") * GIB + system) / free
    return max(0.0, min(numbers("tensorrt_llm.fraction_most" if stretched else "tensorrt_llm.fraction_ceiling"), floor(room * 100) / 100))

"""SGLang: what `mem_fraction_static` leaves outside the static part must hold activations and graphs. Bytes.

Floor 2, pure. The pool is sized from the memory that is free before the weights (`pre`) and after them (`avail`), the
smallest over all ranks: KV pool = avail - pre · (1 - fraction), less a reservation for multimodal models. So
activations and graphs are not in the static part; they live in pre · (1 - fraction) (source
`sglang-kv-cache-configurator`).
"""

from __future__ import annotations

from math import floor

from generator.architecture.shape import ModelArchitecture
from generator.quantity import GIB, MIB
from generator.sizing.footprint import Device, Fixed, Layout, Load, Numbers
from generator.sizing.forward import forward_bytes, moe_workspace


def fixed(
    architecture: ModelArchitecture, layout: Layout, load: Load, device: Device, weights: int, numbers: Numbers
) -> Fixed:
    """Activations over one prefill chunk, decode graphs, and runtime (context, NCCL, multimodal reservation), in bytes.

    SGLang measures nothing here: activations are the forward pass over `chunked_prefill_size`, or the sampler over
    `max_running_requests` × vocabulary, and the attention backend's workspace.
    """
    tokens = load.batched_tokens
    forward = forward_bytes(
        architecture, layout, tokens, numbers("sglang.forward_mlp_copies"), numbers("sglang.forward_hidden_copies")
    )
    sampler = numbers("sglang.sampler_bytes") * load.max_num_seqs * architecture.vocab_size
    activations = max(forward + moe_workspace(architecture, layout, tokens), sampler)
    activations += numbers("sglang.attention_workspace_gib") * GIB
    graphs = 0.0
    if not load.enforce_eager:
        captured = min(load.max_num_seqs, numbers("sglang.graph_max_sequences"))
        graphs = numbers("sglang.graph_base_gib") * GIB + numbers("sglang.graph_sequence_mib") * MIB * captured
    runtime = numbers("sglang.context_gib") * GIB
    if layout.gpus > 1:
        runtime += numbers("sglang.nccl_gib") * GIB
    if architecture.multimodal:
        runtime += numbers("sglang.multimodal_reserve_mib") * MIB
    return Fixed(int(activations), int(graphs), int(runtime))


def budget(device: Device, weights: int, fixed: Fixed, fraction: float, numbers: Numbers) -> int:
    """Bytes in use in all: the static part, pre · fraction with pre = capacity - runtime, and what lies outside it."""
    return int((device.capacity - fixed.runtime) * fraction) + fixed.total


def fraction_for(device: Device, weights: int, fixed: Fixed, numbers: Numbers) -> float:
    """`mem_fraction_static` to emit: activations, graphs and a margin stay free, and it is never above the ceiling."""
    free_before = device.capacity - fixed.runtime
    if free_before <= 0:
        return 0.0
    slack = fixed.activations + fixed.cuda_graphs + numbers("sglang.margin_gib") * GIB
    room = 1.0 - slack / free_before
    return max(0.0, min(numbers("sglang.fraction_ceiling"), floor(room * 1000) / 1000))

"""Text Generation Inference: a warm-up prefill is measured, and 95 % of what it leaves becomes the pool. Bytes.

Floor 4, pure. KV pool = wiggle · (capacity · cuda_memory_fraction - weights - activations - runtime); the CUDA graphs are captured
afterwards, in what the wiggle room leaves (source `tgi-flash-causal-lm`). The warm-up batch asks for the log-probabilities of every prompt
token, so its logits have `max_batch_prefill_tokens` × vocabulary elements and are usually the peak (source `tgi-warmup-logprobs`)."""

from __future__ import annotations

from math import floor

from generator.architecture.shape import ModelArchitecture
from generator.quantity import GIB
from generator.sizing.footprint import Device, Fixed, Layout, Load, Numbers, forward_bytes, hidden_bytes, moe_workspace, of_card, whole_card
from generator.sizing.term import largest, part, whole


def fixed(architecture: ModelArchitecture, layout: Layout, load: Load, device: Device, weights: int, numbers: Numbers) -> Fixed:
    """Activations of the warm-up prefill, graphs, and runtime (CUDA context and NCCL count as used), in bytes."""
    tokens = load.batched_tokens
    logits = numbers("tgi.prefill_logits_bytes") * tokens * architecture.vocab_size
    logits += hidden_bytes(architecture, tokens)
    forward = forward_bytes(architecture, layout, tokens, numbers("tgi.forward_mlp_copies"), numbers("tgi.forward_hidden_copies"))
    experts = part("experts", moe_workspace(architecture, layout, tokens))
    activations = largest(part("logits", logits), part("forward", forward) + experts)
    graphs = 0.0 if load.enforce_eager else numbers("tgi.graph_gib") * GIB
    runtime = numbers("tgi.context_gib")
    if layout.gpus > 1:
        runtime += numbers("tgi.nccl_gib")
    return Fixed(whole(activations), whole(graphs), whole(runtime * GIB))


def budget(device: Device, weights: int, fixed: Fixed, fraction: float, numbers: Numbers) -> int:
    """Bytes in use in all under `cuda_memory_fraction`: everything fixed, and the pool that the wiggle room leaves."""
    free = whole_card(device) * fraction - weights - fixed.activations - fixed.runtime
    return weights + fixed.total + whole(largest(0.0, free) * numbers("tgi.wiggle_room"))


def fraction_for(device: Device, weights: int, fixed: Fixed, numbers: Numbers, stretched: bool = False) -> float:
    """`cuda_memory_fraction` to emit: the ceiling, or less where graphs and a margin do not fit the wiggle room."""
    used = weights + fixed.activations + fixed.runtime
    reserve = fixed.cuda_graphs + numbers("tgi.margin_gib") * GIB
    room = (used + (device.capacity - used - reserve) / numbers("tgi.wiggle_room")) / device.capacity
    return of_card(device, max(0.0, min(numbers("tgi.fraction_ceiling"), floor(room * 1000) / 1000)))

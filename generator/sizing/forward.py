"""What one forward pass of a transformer keeps in memory, in bytes per GPU: shared by the engines that run on PyTorch. Floor 3, pure.
Activations are 16-bit, whatever the weights are stored in: the logged peaks of one model in bf16, FP8 and INT8 are equal to 0.01 GiB
(source `vllm-planner-h100-0-19`)."""

from __future__ import annotations

from generator.architecture.shape import ModelArchitecture
from generator.sizing.footprint import Layout
from generator.sizing.term import largest

HALF = 2
"""Bytes of one 16-bit activation."""

FLOAT = 4
"""Bytes of one fp32 value."""


def mlp_width(architecture: ModelArchitecture, layout: Layout) -> float:
    """Width of the widest dense feed-forward layer on one GPU, in values per token; routed experts are not in it."""
    width = architecture.intermediate_size
    if architecture.experts and not any(m.role == "mlp" for m in architecture.matrices):
        width = architecture.moe_intermediate_size
    return width / layout.tensor_parallel


def hidden_bytes(architecture: ModelArchitecture, tokens: int) -> int:
    """Bytes of one hidden-state tensor of `tokens` rows; it is not split by tensor parallelism."""
    return tokens * architecture.hidden_size * HALF


def forward_bytes(architecture: ModelArchitecture, layout: Layout, tokens: int, mlp_copies: float, hidden_copies: float) -> float:
    """Peak of a forward pass over `tokens`: that many copies of the feed-forward width and of the hidden state."""
    values = mlp_copies * mlp_width(architecture, layout) + hidden_copies * architecture.hidden_size
    return tokens * HALF * values


def moe_workspace(architecture: ModelArchitecture, layout: Layout, tokens: float) -> float:
    """Bytes that the fused Triton kernel for experts keeps alive: T·k·(max(2·I, h) + I)·2, I the expert width per GPU. MXFP4 checkpoints
    run on another kernel, without it (source `vllm-planner-h100-0-19`, gpt-oss-20b)."""
    if not architecture.experts:
        return 0.0
    quantization = architecture.quantization
    if quantization is not None and quantization.method == "mxfp4":
        return 0.0
    split = 1 if layout.expert_parallel else layout.ranks
    width = architecture.moe_intermediate_size / split
    rows = tokens * architecture.experts_per_token
    return rows * (largest(2 * width, architecture.hidden_size) + width) * HALF

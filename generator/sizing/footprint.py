"""The terms of one GPU's memory, in bytes. Floor 3, pure. All figures are of the fullest GPU of the deployment. What a forward pass keeps is
shared by the engines that run on PyTorch: 16-bit whatever the weights are, as the logged peaks of one model in bf16, FP8 and INT8 are equal
to 0.01 GiB (source `vllm-planner-h100-0-19`)."""

from __future__ import annotations

from collections.abc import Callable
from math import floor
from typing import NamedTuple

from generator.architecture.shape import ModelArchitecture
from generator.sizing.term import largest

Numbers = Callable[[str], float]
"""A threshold by name, as the rule set gives it for the engine version that is planned."""


class Layout(NamedTuple):
    """How the model is split over GPUs; `replicas` are whole copies of it. `data_parallel` ranks each have the attention, split
    `tensor_parallel` ways, and requests of their own; the experts are spread over all."""

    tensor_parallel: int = 1
    pipeline_parallel: int = 1
    expert_parallel: bool = False
    replicas: int = 1
    data_parallel: int = 1

    @property
    def gpus(self) -> int:
        """GPUs of one replica."""
        return self.ranks * self.pipeline_parallel

    @property
    def ranks(self) -> int:
        """GPUs that share the experts of a layer."""
        return self.tensor_parallel * self.data_parallel

    @property
    def servers(self) -> int:
        """Ranks and copies that have requests of their own."""
        return self.data_parallel * self.replicas


class Load(NamedTuple):
    """What the engine is asked to hold at once (tokens, sequences). `batched_tokens` is the engine's step size: `max_num_batched_tokens` of
    vLLM, `chunked_prefill_size` of SGLang, `max_num_tokens` of TensorRT-LLM, `max_batch_prefill_tokens` of TGI, `ubatch-size` of llama.cpp.
    `verified` tokens of a sequence are sampled in a step: more than one with speculative decoding."""

    max_model_len: int
    max_num_seqs: int
    batched_tokens: int
    kv_bits: float = 16.0
    enforce_eager: bool = False
    verified: int = 1


class Device(NamedTuple):
    """One GPU (or the host's RAM for `cpu`) as sizing sees it. `capacity` is what the driver reports, in bytes, or this deployment's share
    of that, `card` then what the driver reports (0: the same). `unified`: the system runs in the same memory."""

    capacity: int
    vendor: str = "nvidia"
    compute_capability: float = 0.0
    multiprocessors: int = 0
    unified: bool = False
    card: int = 0


class Fixed(NamedTuple):
    """Memory that does not depend on how many tokens are cached, in bytes, weights apart. `loaded` is the part of `runtime` that comes with
    the weights, not before them."""

    activations: int
    cuda_graphs: int
    runtime: int
    loaded: int = 0

    @property
    def total(self) -> int:
        """The three together."""
        return self.activations + self.cuda_graphs + self.runtime


class Footprint(NamedTuple):
    """One GPU's memory under a plan, in bytes. `draft` and `adapters` are loaded beside the weights. `kv_cache` is what the engine will
    allocate, `kv_needed` what the workload needs of it, `budget` what the engine may use in all, `capacity` what the driver reports."""

    weights: int
    kv_cache: int
    kv_needed: int
    activations: int
    cuda_graphs: int
    runtime: int
    budget: int
    capacity: int
    draft: int = 0
    adapters: int = 0

    @property
    def loaded(self) -> int:
        """The model, and what is loaded beside it."""
        return self.weights + self.draft + self.adapters

    @property
    def total(self) -> int:
        """What will be in use once the engine has started."""
        return self.loaded + self.kv_cache + self.activations + self.cuda_graphs + self.runtime

    @property
    def headroom(self) -> float:
        """What is left of the budget under this workload, as a fraction of the budget (negative: too much)."""
        return headroom(self.budget, self.loaded + self.activations + self.cuda_graphs + self.runtime + self.kv_needed)


def free_share(device: Device, numbers: Numbers) -> float:
    """Share of the memory that is free before an engine starts: all of a card's own, less where the system runs in it."""
    return numbers("gpu.unified_free") if device.unified else 1.0


def whole_card(device: Device) -> int:
    """Bytes of the whole card, which fractions of some engines are of."""
    return device.card or device.capacity


def of_card(device: Device, fraction: float) -> float:
    """A fraction of this deployment's share as one of the whole card."""
    return floor(fraction * device.capacity / device.card * 1e4) / 1e4 if device.card else fraction


def headroom(budget: int, needed: int) -> float:
    """What is left of a budget in bytes, as a fraction of it (negative: too much is needed)."""
    return (budget - needed) / budget if budget > 0 else -1.0


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

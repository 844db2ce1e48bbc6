"""llama.cpp and Ollama: one process, layers spread over the GPUs one after the other, weights unpacked as they are read.

Floor 4, pure. At batch 1 a token takes the time to read all weights at the back end's share of the bandwidth, and a fixed time per layer
for launching kernels, which is what small models on fast cards wait for; choosing and gathering experts takes more of them. Layers and
experts that stay in the host's memory are read at the share of its bandwidth that a CPU beside a GPU reaches; for a prompt their weights
are copied to the GPU, once a batch."""

from __future__ import annotations

from math import ceil
from typing import Literal

from generator.sizing.footprint import Numbers
from generator.throughput.shapes import CacheTraffic, Drafting, HardwareShape, InHost, ModelShape, Split
from generator.throughput.steps import Step

BACK_ENDS = ("cuda", "cuda_server", "hip", "vulkan", "metal", "sycl", "cpu")
"""By these the thresholds `speed.local.*` are named."""
Packing = Literal["plain", "simple", "mixed"]
"""How weights are stored: 16 bits, blocks of one scale, or super-blocks (K and I types)."""


def packing_of(method: str) -> Packing:
    """The packing of a GGUF method by its name."""
    word = method.removeprefix("gguf-")
    if word in ("bf16", "f16"):
        return "plain"
    return "mixed" if "_k" in word or "iq" in word else "simple"


class LocalMachine:
    """One GGUF on one kind of hardware: what stays the same whatever the load."""

    drafting: Drafting | None = None

    def __init__(
        self, model: ModelShape, hardware: HardwareShape, cache: CacheTraffic, split: Split, packing: Packing, numbers: Numbers, in_host: InHost
    ) -> None:
        self.model, self.cache, self.split, self.in_host = model, cache, split, in_host
        end = hardware.generation.back_end
        self.bandwidth = hardware.bandwidth * _share(end, packing, numbers)
        self.host, self.host_experts = hardware.host * numbers("speed.local.host"), hardware.host * numbers("speed.local.host_experts")
        self.layer = max(numbers(f"speed.local.layer.{one}") for one in ((end, "cpu") if in_host.some else (end,)))
        self.launching = model.layers * (self.layer + (numbers(f"speed.local.expert_layer.{end}") if model.experts else 0.0))
        self.copied = 1.0 / (hardware.link or hardware.host)
        """seconds of copying a byte of the host's to the GPU"""
        self.flops = _flops(hardware, end, numbers)
        self.first_base, self.first_sequence, self.queue = numbers("speed.local.first_base"), 0.0, numbers("speed.local.queue")
        self.batch, self.verified_experts = numbers("speed.local.batch"), numbers("speed.verified_experts")

    def decode(self, sequences: float, context: float, tokens: float = 1.0) -> Step:
        """`tokens` for each of `sequences`; the GPUs work one after the other, so their bytes add up."""
        cached, rows = sequences * self.cache.bytes_at(context) * self.split.pipeline, sequences * tokens
        met = sequences * (1.0 + self.verified_experts * (tokens - 1.0))  # neighbouring tokens share experts
        return Step(self._reading(met, cached), self._arithmetic(1.0) * (rows - 1.0), 0.0, self.launching, added=True)

    def draft(self, drafting: Drafting) -> Step:
        """The steps of a draft for one step of the model."""
        return Step(drafting.tokens * drafting.bytes / self.bandwidth, 0.0, 0.0, drafting.tokens * drafting.layers * self.layer, added=True)

    def prefill(self, tokens: float, batch: float = 1.0) -> Step:
        """A prompt alone; what lies in the host's memory is copied, and the GPU does the arithmetic."""
        weights = self.model.dense_bytes + self.model.expert_bytes * self.model.covered(tokens)
        return Step(weights / self.bandwidth, self._arithmetic(tokens) * batch, self._copying(tokens * batch), self.layer * self.model.layers)

    def prefill_delay(self, tokens: float) -> float:
        """Seconds by which a prompt delays the other slots."""
        return self._arithmetic(tokens) + self._copying(tokens)

    def _reading(self, sequences: float, cached: float) -> float:
        """Seconds of reading the weights that a token of each sequence meets, and the bytes of the cache, each where it lies."""
        model, host = self.model, self.in_host
        dense, experts = model.dense_bytes, model.expert_bytes * model.covered(sequences)
        on_gpu = dense * (1.0 - host.dense) + experts * (1.0 - host.experts) + cached * (1.0 - host.layers)
        return on_gpu / self.bandwidth + (dense * host.dense + cached * host.layers) / self.host + experts * host.experts / self.host_experts

    def _copying(self, tokens: float) -> float:
        model, host = self.model, self.in_host
        return ceil(tokens / self.batch) * (model.dense_bytes * host.dense + model.expert_bytes * host.experts) * self.copied

    @property
    def knows_compute(self) -> bool:
        """Whether the arithmetic of this hardware is known: without it there is no time to the first token."""
        return self.flops > 0

    def _arithmetic(self, tokens: float) -> float:
        model = self.model
        if not self.flops:
            return 0.0
        active = model.dense_full + model.expert_full * model.routed_share
        flops = 2.0 * active * tokens + model.attention_flops * tokens * tokens / 2.0
        return flops / self.flops


def _flops(hardware: HardwareShape, end: str, numbers: Numbers) -> float:
    """FLOP/s of a prompt, 0 where unknown. CUDA's follow the INT8 peak. Quantised weights are multiplied in INT8 (source `lcpp-mmq-int8`),
    and 16-bit ones with sums in 16 bits, whose peak is half of that on every card, while the data sheet's 16-bit figure is a quarter of it
    on consumer cards and half on others."""
    if hardware.int8_ops and end in ("cuda", "cuda_server"):
        return hardware.int8_ops * numbers(f"speed.local.int8.{end}")
    if hardware.full_flops:
        return hardware.full_flops * numbers(f"speed.local.compute.{end}")
    return hardware.bandwidth * numbers(f"speed.local.flops_per_byte.{end}") if end in ("metal", "cpu") else 0.0


def _share(end: str, packing: Packing, numbers: Numbers) -> float:
    """Share of the bandwidth that a back end reaches with weights of a packing."""
    share = numbers(f"speed.local.bandwidth.{end}")
    if packing == "plain":
        return share
    return share * numbers(f"speed.local.packed.{end}") * (numbers("speed.local.mixed_types") if packing == "mixed" else 1.0)

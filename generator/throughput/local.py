"""llama.cpp and Ollama: one process, layers spread over the GPUs one after the other, weights unpacked as they are read.

Floor 4, pure. At batch 1 a token takes the time to read all weights at the back end's share of the bandwidth, and a
fixed time per layer for launching kernels, which is what small models on fast cards wait for. Layers that stay in the host's
memory are read at the CPU's share of its bandwidth; for a prompt their weights are copied to the GPU, once a batch.
"""

from __future__ import annotations

from math import ceil
from typing import Literal

from generator.throughput.factors import LocalFactors
from generator.throughput.shapes import CacheTraffic, HardwareShape, ModelShape, Split
from generator.throughput.steps import Step

Packing = Literal["plain", "simple", "mixed"]
"""How weights are stored: 16 bits, blocks of one scale, or super-blocks (K and I types)."""


def packing_of(method: str) -> Packing:
    """The packing of a GGUF method by its name."""
    word = method.removeprefix("gguf-")
    if word in ("bf16", "f16"):
        return "plain"
    return "mixed" if "_k" in word or word.startswith("iq") else "simple"


class LocalMachine:
    """One GGUF on one kind of hardware: what stays the same whatever the load."""

    def __init__(
        self, model: ModelShape, hardware: HardwareShape, cache: CacheTraffic, split: Split, packing: Packing, factors: LocalFactors,
        in_host: float = 0.0,
    ) -> None:  # fmt: skip
        self.model, self.cache, self.split, self.factors = model, cache, split, factors
        end = hardware.generation.back_end
        bandwidth = hardware.bandwidth * _share(end, packing, factors)
        per_byte, layer = 1.0 / bandwidth, factors.layer[end]
        if in_host:
            per_byte = (1.0 - in_host) * per_byte + in_host / (hardware.host * _share("cpu", packing, factors))
            layer = max(layer, factors.layer["cpu"])
        self.bandwidth, self.layer = 1.0 / per_byte, layer
        self.copied = in_host / (hardware.link or hardware.host)
        """seconds of copying the host's part, per byte of all weights"""
        self.flops = _flops(hardware, end, factors)
        self.first_base, self.first_sequence, self.queue = factors.first_base, 0.0, factors.queue

    def decode(self, sequences: float, context: float) -> Step:
        """One token for each of `sequences`; the GPUs work one after the other, so their bytes add up."""
        model = self.model
        weights = model.dense_bytes + model.expert_bytes * model.covered(sequences)
        cached = sequences * self.cache.bytes_at(context) * self.split.pipeline
        memory = (weights + cached) / self.bandwidth
        return Step(memory, self._arithmetic(1.0) * (sequences - 1.0), 0.0, self.layer * model.layers, added=True)

    def prefill(self, tokens: float, batch: float = 1.0) -> Step:
        """A prompt alone."""
        model = self.model
        weights = model.dense_bytes + model.expert_bytes * model.covered(tokens)
        return Step(weights / self.bandwidth, self._arithmetic(tokens) * batch, self._copying(tokens * batch), self.layer * model.layers)

    def prefill_delay(self, tokens: float) -> float:
        """Seconds by which a prompt delays the other slots."""
        return self._arithmetic(tokens) + self._copying(tokens)

    def _copying(self, tokens: float) -> float:
        return ceil(tokens / self.factors.batch) * (self.model.dense_bytes + self.model.expert_bytes) * self.copied

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


def _flops(hardware: HardwareShape, end: str, factors: LocalFactors) -> float:
    """FLOP/s of a prompt, 0 where unknown. CUDA's follow the INT8 peak.

    Quantised weights are multiplied in INT8 (source `lcpp-mmq-int8`), and 16-bit ones with sums in 16 bits, whose peak is half of
    that on every card, while the data sheet's 16-bit figure is a quarter of it on consumer cards and half on others.
    """
    if hardware.int8_ops and end in factors.int8:
        return hardware.int8_ops * factors.int8[end]
    if hardware.full_flops:
        return hardware.full_flops * factors.compute[end]
    return hardware.bandwidth * factors.flops_per_byte.get(end, 0.0)


def _share(end: str, packing: Packing, factors: LocalFactors) -> float:
    """Share of the bandwidth that a back end reaches with weights of a packing."""
    share = factors.bandwidth[end]
    return share if packing == "plain" else share * factors.packed[end] * (factors.mixed_types if packing == "mixed" else 1.0)

"""The time of one step of a batching server, or of llama.cpp and Ollama: decoding a token for each sequence, or reading a prompt. Floor 4,
pure. A step reads its weights and the KV cache of its sequences while it computes, so it takes the longer of the two; communication and the host's work come on
top. `docs/throughput.md` derives every line."""

from __future__ import annotations

from math import ceil, log2
from typing import Literal, NamedTuple

from generator.sizing.footprint import Numbers
from generator.throughput.shapes import CacheTraffic, Drafting, HardwareShape, InHost, ModelShape, Split

HALF = 2.0
"""Bytes of a 16-bit activation; also FLOPs of one multiply-add."""

REDUCTIONS = 2
"""All-reductions of a layer under tensor parallelism: after attention and after the feed-forward part."""


class Step(NamedTuple):
    """Seconds of one step, and what they are made of."""

    memory: float
    compute: float
    communication: float
    host: float
    added: bool = False
    """whether reading and computing take turns"""

    @property
    def total(self) -> float:
        """Seconds of the step."""
        busy = self.memory + self.compute if self.added else max(self.memory, self.compute)
        return busy + self.communication + self.host

    @property
    def limit(self) -> str:
        """What takes the largest part."""
        parts = (("bandwidth", self.memory), ("compute", self.compute), ("communication", self.communication), ("host", self.host))
        return max(parts, key=lambda part: part[1])[0]


class Machine:
    """One model on one kind of GPU with one split: what stays the same whatever the load."""

    drafting: Drafting | None = None

    def __init__(self, model: ModelShape, hardware: HardwareShape, cache: CacheTraffic, split: Split, engine: str, numbers: Numbers) -> None:
        self.model, self.hardware, self.cache, self.split = model, hardware, cache, split
        self.slower, ways, made = numbers(f"speed.engine.{engine}"), split.tensor, hardware.generation
        self.bandwidth = hardware.bandwidth * numbers("speed.bandwidth")
        generation = numbers(made.compute) if made.compute else 1.0
        self.full = hardware.full_flops * numbers("speed.compute_bf16") * generation
        self.low = hardware.low_flops * numbers(f"speed.compute_{hardware.kind.replace('-', '_')}") * generation
        self.dense_seconds = (model.dense_low / self.low + model.dense_full / self.full) * 2.0 / ways
        self.head_seconds = model.head * 2.0 / self.full / ways
        share = model.routed_share * 2.0 / ways
        self.expert_seconds = (model.expert_low / self.low + model.expert_full / self.full) * share
        self.attention_seconds = model.attention_flops / self.full / ways
        self.verified_experts = numbers("speed.verified_experts")
        self.decode_compute, self.expert_bandwidth = numbers("speed.decode_compute"), numbers("speed.expert_bandwidth")
        host_scale = numbers(made.host) if made.host else 1.0
        each = numbers("speed.host_layer") + (numbers("speed.expert_layer") if model.experts else 0.0)
        self.launching = each * model.layers * host_scale
        self.each_sequence = (numbers("speed.host_sequence") + numbers("speed.host_rank") * log2(ways)) * host_scale
        self.tensor_across = hardware.across and split.pipeline == 1
        """without stages it is the all-reductions that cross the nodes"""
        self.first_base, self.first_sequence, self.queue = numbers("speed.first_base"), numbers("speed.first_sequence"), numbers("speed.queue")
        pcie = hardware.link_kind not in ("nvlink", "xgmi")
        self.latency, self.node_latency = numbers("speed.pcie_latency" if pcie else "speed.link_latency"), numbers("speed.node_latency")
        self.link = numbers("speed.node_bandwidth") if self.tensor_across else hardware.link * numbers("speed.link")

    def decode(self, sequences: float, context: float, tokens: float = 1.0) -> Step:
        """`tokens` for each of `sequences` (of one replica), with `context` tokens cached each."""
        model = self.model
        sequences = max(1.0, sequences / self.split.pipeline)
        rows = sequences * tokens
        met = sequences * (1.0 + self.verified_experts * (tokens - 1.0))  # neighbouring tokens share experts
        weights = model.dense_bytes + model.expert_bytes * model.covered(met) / self.expert_bandwidth
        # the cache's bytes are of the fullest GPU of one stage; a token passes all stages
        cached = sequences * self.cache.bytes_at(context) * self.split.pipeline
        memory = (weights / self.split.tensor + cached) / self.bandwidth
        each = self.dense_seconds + self.expert_seconds + self.attention_seconds * context
        compute = rows * each / self.decode_compute
        host = self.launching + self.each_sequence * sequences
        return Step(memory * self.slower, compute * self.slower, self.communication(rows, REDUCTIONS * model.layers) * self.slower, host * self.slower)

    def draft(self, drafting: Drafting) -> Step:
        """The steps of a draft for one step of the model: its weights, and the host's work for its layers."""
        host = drafting.layers * self.launching / max(1, self.model.layers)
        memory = drafting.bytes / self.split.tensor / self.bandwidth
        return Step(drafting.tokens * memory * self.slower, 0.0, 0.0, drafting.tokens * host * self.slower)

    def prefill(self, tokens: float, batch: float = 1.0) -> Step:
        """A prompt of `tokens` (or `batch` of them at once), alone."""
        model = self.model
        all_tokens = tokens * batch
        weights = model.dense_bytes + model.expert_bytes * model.covered(all_tokens) / self.expert_bandwidth
        return Step(
            weights / self.split.tensor / self.bandwidth * self.slower, self._arithmetic(tokens) * batch * self.slower,
            self.communication(all_tokens, REDUCTIONS * model.layers) * self.slower, self.launching * self.slower,
        )  # fmt: skip

    def prefill_delay(self, tokens: float) -> float:
        """Seconds by which a prompt in the batch delays the sequences that are decoding: its arithmetic and messages. The weights are read
        once for both, and the step's latency and host work are there anyway. Stages of a pipeline work on different prompts at a time."""
        busy = self._arithmetic(tokens) + self._bytes_time(tokens, REDUCTIONS * self.model.layers)
        return busy * self.slower / self.split.pipeline

    def _arithmetic(self, tokens: float) -> float:
        each = self.dense_seconds + self.expert_seconds
        return max(0.0, tokens * each - (tokens - 1.0) * self.head_seconds) + self.attention_seconds * tokens * tokens / 2.0

    def communication(self, tokens: float, messages: float) -> float:
        """Seconds of the all-reductions of `tokens` in one step, and of the hand-over between stages."""
        split = self.split
        latency = self.node_latency if self.hardware.across else self.latency
        seconds = messages * (latency if self.tensor_across else self.latency) + self._bytes_time(tokens, messages) if split.tensor > 1 else 0.0
        if split.pipeline > 1:
            seconds += (split.pipeline - 1) * latency
        return seconds

    def _bytes_time(self, tokens: float, messages: float) -> float:
        ways = self.split.tensor
        if ways == 1 or not self.link:
            return 0.0
        return messages * 2.0 * (ways - 1) / ways * tokens * self.model.hidden * HALF / self.link


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
    """One GGUF on one kind of hardware: what stays the same whatever the load. llama.cpp and Ollama are one process, layers spread over the
    GPUs one after the other, weights unpacked as they are read.

    At batch 1 a token takes the time to read all weights at the back end's share of the bandwidth, and a fixed time per layer for launching
    kernels, which is what small models on fast cards wait for; choosing and gathering experts takes more of them. Layers and experts that stay
    in the host's memory are read at the share of its bandwidth that a CPU beside a GPU reaches; for a prompt their weights are copied to the
    GPU, once a batch."""

    drafting: Drafting | None = None

    def __init__(
        self, model: ModelShape, hardware: HardwareShape, cache: CacheTraffic, split: Split, packing: Packing, numbers: Numbers, in_host: InHost
    ) -> None:
        self.model, self.cache, self.split, self.in_host = model, cache, split, in_host
        end = hardware.generation.back_end
        share = numbers(f"speed.local.bandwidth.{end}")  # that a back end reaches with weights of a packing
        if packing != "plain":
            share *= numbers(f"speed.local.packed.{end}") * (numbers("speed.local.mixed_types") if packing == "mixed" else 1.0)
        self.bandwidth = hardware.bandwidth * share
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

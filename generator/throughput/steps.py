"""The time of one step of a batching server: decoding a token for each sequence, or reading a prompt. Floor 4, pure. A step reads its
weights and the KV cache of its sequences while it computes, so it takes the longer of the two; communication and the host's work come on
top. `docs/throughput.md` derives every line."""

from __future__ import annotations

from math import log2
from typing import NamedTuple

from generator.sizing.footprint import Numbers
from generator.throughput.shapes import CacheTraffic, Drafting, HardwareShape, ModelShape, Split

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

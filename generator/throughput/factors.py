"""The factors of the speed model, read once from the thresholds of a rule set.

Floor 4, pure. Where each comes from stands in `rules/physics/speed.yaml`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields

from generator.engines import ENGINES
from generator.sizing.footprint import Numbers

PREFIX = "speed."


@dataclass(frozen=True, slots=True)
class Factors:
    """Shares are of the data sheet's figure, times in seconds."""

    bandwidth: float
    """share of the memory bandwidth that decoding reaches"""
    compute_bf16: float
    compute_fp8: float
    compute_fp4: float
    compute_int8: float
    compute_weight_only: float
    """shares of the peak that a long prefill reaches, by the arithmetic"""
    decode_compute: float
    """share of that which the small matrices of a decode step reach"""
    link: float
    link_latency: float
    pcie_latency: float
    """share of a link's one-direction bandwidth, and the time of one small all-reduce"""
    node_bandwidth: float
    node_latency: float
    """bytes/s and latency between nodes"""
    host_layer: float
    host_sequence: float
    host_rank: float
    """host and launch time of a step: of each layer, each sequence, each sequence and doubling of the GPUs"""
    expert_bandwidth: float
    expert_layer: float
    """grouped matrices of experts: bandwidth against plain ones, and routing time per layer"""
    first_base: float
    first_sequence: float
    queue: float
    """the first token: front end of the server, its work per sequence, and the share of the others' prompts that a new one waits for"""
    threshold: Numbers
    """looks up what an architecture names as the factor of its arithmetic or its host's work"""
    engines: Mapping[str, float] = field(default_factory=dict)
    """one multiplier of the step's time per engine (vLLM: 1)"""


@dataclass(frozen=True, slots=True)
class LocalFactors:
    """The same for llama.cpp, by back end."""

    bandwidth: Mapping[str, float]
    """share of the memory bandwidth"""
    layer: Mapping[str, float]
    """seconds of launching a layer"""
    flops_per_byte: Mapping[str, float]
    """FLOP/s per byte/s of bandwidth, where no data sheet tells"""
    compute: Mapping[str, float]
    """share of the data sheet's 16-bit FLOPS in a prompt"""
    int8: Mapping[str, float]
    """share of the data sheet's INT8 operations in a prompt with quantised weights"""
    packed: Mapping[str, float]
    """bandwidth of quantised types against 16-bit ones"""
    mixed_types: float
    """bandwidth of types with super-blocks (K and I) against the simple ones"""
    first_base: float
    """the server's own time to the first token"""
    queue: float
    """share of each other slot's prompt that a new prompt waits for"""
    batch: float
    """tokens of a prompt for which the host's part of the weights is copied once"""
    host: float
    host_experts: float
    """shares of the host's memory bandwidth at which a CPU beside a GPU reads whole layers, and the experts that a token is routed to"""


BACK_ENDS = ("cuda", "cuda_server", "hip", "vulkan", "metal", "sycl", "cpu")


def factors(numbers: Numbers) -> Factors:
    """The factors by the names `speed.<field>` and `speed.engine.<engine>`."""
    values = {f.name: numbers(PREFIX + f.name) for f in fields(Factors) if f.name not in ("engines", "threshold")}
    return Factors(**values, threshold=numbers, engines={name: numbers(f"{PREFIX}engine.{name}") for name, room in ENGINES.items() if not room.speed.local})


def local_factors(numbers: Numbers) -> LocalFactors:
    """The factors of llama.cpp by the names `speed.local.<field>.<back end>`."""
    return LocalFactors(
        bandwidth={end: numbers(f"{PREFIX}local.bandwidth.{end}") for end in BACK_ENDS},
        layer={end: numbers(f"{PREFIX}local.layer.{end}") for end in BACK_ENDS},
        flops_per_byte={end: numbers(f"{PREFIX}local.flops_per_byte.{end}") for end in ("metal", "cpu")},
        compute={end: numbers(f"{PREFIX}local.compute.{end}") for end in BACK_ENDS},
        int8={end: numbers(f"{PREFIX}local.int8.{end}") for end in ("cuda", "cuda_server")},
        packed={end: numbers(f"{PREFIX}local.packed.{end}") for end in BACK_ENDS},
        mixed_types=numbers(f"{PREFIX}local.mixed_types"),
        first_base=numbers(f"{PREFIX}local.first_base"),
        queue=numbers(f"{PREFIX}local.queue"),
        batch=numbers(f"{PREFIX}local.batch"),
        host=numbers(f"{PREFIX}local.host"),
        host_experts=numbers(f"{PREFIX}local.host_experts"),
    )

"""The data of a decision: candidates with figures and reasons, the choice, and the trace of steps.

Floor 5, pure. Everything later reads these types, or the object that `render/plan_json.py` makes of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import TYPE_CHECKING, Any, NamedTuple

from generator.facts.job import Job
from generator.facts.quality import UNMEASURED, Quality
from generator.record import dataclass
from generator.sizing.footprint import Footprint
from generator.sizing.term import MemoryTerm
from generator.throughput.shapes import Speed

if TYPE_CHECKING:  # every start would pay for building the types
    from generator.decide.vocabulary import Names, SpecNames

Value = str | int | float | bool
"""A setting's value, in neutral names."""


class Read(NamedTuple):
    """A fact that a row read: its value and its origin (a source key, `spec`, or the name of a formula)."""

    value: object
    source: str | None = None


class Reason(NamedTuple):
    """A matching row with the facts it read; `at` is the row's `file:line`."""

    row: str
    because: str
    source: str | None
    read: Mapping[str, Read]
    at: str = ""


class KvCache(NamedTuple):
    """A candidate's KV cache: bytes per token on one GPU, and what it holds: tokens, full-length sequences, the workload's typical ones.

    `cold_tokens` are those after a first start, which compiles; None where that is the same."""

    bytes_per_token: int
    tokens: int
    max_concurrency: float
    typical: float = 0.0
    cold_tokens: int | None = None


class Performance(NamedTuple):
    """A candidate's speed, or the reason for a missing estimate.

    `within_objectives` is the concurrency at which `ttft_ms` and `tpot_ms` still hold by the estimates, None if the spec has no such objective."""

    speed: Speed | None = None
    unknown: str | None = None
    within_objectives: int | None = None


@dataclass(frozen=True)  # no slots: `changed` copies the dictionary
class Candidate:
    """One deployment: engine × method × parallelism, with the settings that were fitted for it.

    `checkpoint` is what the engine loads (a repository or a path), at the commit `revision` and of `download` bytes (None: not looked up),
    `projector` the file of the vision tower beside it, where the lock has one, `image` what the lock says that a container runs (None: what
    the catalogue says), `gguf_file` the file of a GGUF repository or the
    quantisation word to find it by, `origin` how the weights come about (native, online, published, named, given,
    made, missing). `settings` holds every neutral setting that is emitted, under the names of `rules/facts/engines`; empty
    until the candidate has been fitted. `gpu_layers` of a GGUF are on the GPUs (the output counts as one), without the experts of the
    first `cpu_experts` layers. Figures are None until it has been sized. `job` makes the weights, where origin
    is `made` (known of the best candidate of each engine). `back_end` is what computes (`vulkan`), of an engine that has several."""

    engine: str
    engine_version: str
    method: str
    bits: float
    group_size: int | None
    checkpoint: str
    revision: str | None
    gguf_file: str | None
    origin: str
    dtype: str
    tensor_parallel: int = 1
    pipeline_parallel: int = 1
    replicas: int = 1
    data_parallel: int = 1
    expert_parallel: bool = False
    kv_cache_dtype: str = "auto"
    max_model_len: int = 0
    max_num_seqs: int = 0
    max_num_batched_tokens: int = 0
    gpu_memory_utilization: float | None = None
    gpu_layers: int | None = None
    cpu_experts: int | None = None
    settings: Mapping[str, Value] = field(default_factory=dict)
    memory: Footprint | None = None
    kv_cache: KvCache | None = None
    performance: Performance | None = None
    quality: Quality = UNMEASURED
    thumb: Mapping[str, float | None] = field(default_factory=dict)
    terms: tuple[MemoryTerm, ...] = ()
    host: MemoryTerm | None = None
    job: Job | None = None
    back_end: str | None = None
    download: int | None = None
    image: str | None = None
    projector: str | None = None
    task: str = "generate"
    speculative: Mapping[str, str | int | None] | None = None
    adapters: Mapping[str, str] = field(default_factory=dict)

    @property
    def speed(self) -> Speed | None:
        """The estimate, where there is one."""
        return self.performance.speed if self.performance else None

    @property
    def gpus(self) -> int:
        """GPUs of all replicas."""
        return self.tensor_parallel * self.pipeline_parallel * self.data_parallel * self.replicas

    @property
    def id(self) -> str:
        """A stable identifier of this candidate: `vllm/awq/tp2` (with pp and replicas if they are not 1)."""
        word = f"{self.engine}/{self.method}/tp{self.tensor_parallel}"
        if self.pipeline_parallel > 1:
            word += f"/pp{self.pipeline_parallel}"
        if self.data_parallel > 1:
            word += f"/dp{self.data_parallel}"
        return word + (f"/x{self.replicas}" if self.replicas > 1 else "")


def changed(candidate: Candidate, **values: object) -> Candidate:
    """A copy with some fields replaced: like `dataclasses.replace`, but ten times faster, for thousands of candidates."""
    copy = object.__new__(Candidate)
    copy.__dict__.update(candidate.__dict__, **values)
    return copy


class Rejection(NamedTuple):
    """A candidate that cannot be deployed, and every row that rejects it."""

    candidate: Candidate
    reasons: tuple[Reason, ...]


class Trace(NamedTuple):
    """One step of the decision: a row and the values it set, or the candidates it kept or dropped."""

    step: str
    row: str
    did: Mapping[str, Any]
    read: Mapping[str, Read]
    because: str = ""
    source: str | None = None
    at: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """The decision for one spec.

    `spec` is the normalised spec as plain data (defaults filled in), `choice` None where nothing fits, `alternatives`
    the runners-up, best first. `facts` are the names and values that the spec and the choice gave the rules."""

    name: str
    rules_name: str
    rules_digest: str
    spec: Mapping[str, Any]
    choice: Candidate | None
    alternatives: tuple[Candidate, ...]
    rejected: tuple[Rejection, ...]
    warnings: tuple[Reason, ...]
    trace: tuple[Trace, ...]
    facts: SpecNames | Names

"""The data of a decision: candidates with figures and reasons, the choice, and the trace of steps.

Floor 5, pure. `as_json` gives the object of `gen-deploy plan --json`; everything later reads these types or that object.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from generator.facts.job import Job, job_json
from generator.facts.quality import UNMEASURED, Quality
from generator.quantity import gib
from generator.sizing.footprint import Footprint
from generator.sizing.term import MemoryTerm
from generator.throughput.shapes import Range, Speed

if TYPE_CHECKING:  # every start would pay for building the types
    from generator.decide.vocabulary import Names, SpecNames

SCHEMA_VERSION = 1

Value = str | int | float | bool
"""A setting's value, in neutral names."""


class Read(NamedTuple):
    """A fact that a row read: its value and its origin (a source key, `spec`, or the name of a formula)."""

    value: Any
    source: str | None = None


class Reason(NamedTuple):
    """A matching row with the facts it read; `at` is the row's `file:line`."""

    row: str
    because: str
    source: str | None
    read: Mapping[str, Read]
    at: str = ""


class KvCache(NamedTuple):
    """A candidate's KV cache: bytes per token on one GPU, token capacity, full-length sequences."""

    bytes_per_token: int
    tokens: int
    max_concurrency: float


class Performance(NamedTuple):
    """A candidate's speed, or the reason for a missing estimate.

    `gpu_hours` are of a million output tokens; `within_objectives` is the concurrency at which `ttft_ms` and `tpot_ms`
    still hold by the estimates, None if the spec has no such objective.
    """

    speed: Speed | None = None
    unknown: str | None = None
    gpu_hours: float | None = None
    within_objectives: int | None = None


@dataclass(frozen=True)  # no slots: `changed` copies the dictionary
class Candidate:
    """One deployment: engine × method × parallelism, with the settings that were fitted for it.

    `checkpoint` is what the engine loads (a repository or a path), `gguf_file` the file of a GGUF repository or the
    quantisation word to find it by, `origin` how the weights come about (native, online, published, named, given,
    made, missing). `settings` holds every neutral setting that is emitted, under the names of `rules/facts/engines`; empty
    until the candidate has been fitted. `gpu_layers` of a GGUF are on the GPUs (the output counts as one), without the experts of the
    first `cpu_experts` layers. Figures are None until it has been sized. `job` makes the weights, where origin
    is `made` (known of the best candidate of each engine).
    """

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

    @property
    def gpus(self) -> int:
        """GPUs of all replicas."""
        return self.tensor_parallel * self.pipeline_parallel * self.replicas

    @property
    def id(self) -> str:
        """A stable identifier of this candidate: `vllm/awq/tp2` (with pp and replicas if they are not 1)."""
        word = f"{self.engine}/{self.method}/tp{self.tensor_parallel}"
        if self.pipeline_parallel > 1:
            word += f"/pp{self.pipeline_parallel}"
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
    the runners-up, best first. `facts` are the names and values that the spec and the choice gave the rules.
    """

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


def choice_json(candidate: Candidate) -> dict[str, object]:
    """A candidate as in `plan --json`, without its figures."""
    return {
        "engine": candidate.engine,
        "engine_version": candidate.engine_version,
        "quantization": candidate.method,
        "bits": candidate.bits,
        "group_size": candidate.group_size,
        "checkpoint": candidate.checkpoint,
        "revision": candidate.revision,
        "gguf_file": candidate.gguf_file,
        "weights": candidate.origin,
        "kv_cache_dtype": candidate.kv_cache_dtype,
        "dtype": candidate.dtype,
        "tensor_parallel": candidate.tensor_parallel,
        "pipeline_parallel": candidate.pipeline_parallel,
        "replicas": candidate.replicas,
        "max_model_len": candidate.max_model_len,
        "max_num_seqs": candidate.max_num_seqs,
        "max_num_batched_tokens": candidate.max_num_batched_tokens,
        "gpu_memory_utilization": candidate.gpu_memory_utilization,
        "gpu_layers": candidate.gpu_layers,
        "cpu_experts": candidate.cpu_experts,
        "settings": dict(candidate.settings),
    }


def memory_json(memory: Footprint | None) -> dict[str, float] | None:
    """GiB of the fullest GPU, rounded to 0.001."""
    if memory is None:
        return None
    names = ("weights", "kv_cache", "kv_needed", "activations", "cuda_graphs", "runtime", "total", "budget", "capacity")
    figures = {name: round(gib(getattr(memory, name)), 3) for name in names}
    return {**figures, "headroom": round(memory.headroom, 4)}


def terms_json(candidate: Candidate) -> list[dict[str, object]]:
    """The memory terms of a candidate as trees, if computed (for the choice): each formula yields its bytes from inputs and parts."""
    return [_term_json(term) for term in candidate.terms]


def _term_json(term: MemoryTerm) -> dict[str, object]:
    inputs = {symbol: {"value": one.value, **({"source": one.source} if one.source else {})} for symbol, one in term.inputs.items()}
    return {
        "term": term.name, "gib": round(gib(term.bytes), 3), "bytes": round(term.bytes), "formula": term.formula, "inputs": inputs,
        "source": term.source, "parts": [_term_json(part) for part in term.parts],
    }  # fmt: skip


_NO_FIGURES = (
    "output_tokens_per_second", "ttft_ms", "tpot_ms", "basis", "error_band", "per_gpu", "per_user", "limited_by", "concurrency",
    "max_concurrency_for_objectives", "gpu_hours_per_million_tokens",
)  # fmt: skip


NO_FIRST = "no time to first token: the compute speed of this hardware is unknown (give hardware.gpu as a mapping with fp16_tflops)"


def performance_json(performance: Performance | None) -> dict[str, object]:
    """The speed of a candidate; without an estimate every figure is null, and `unknown` gives the reason."""
    speed = performance.speed if performance else None
    if performance is None or speed is None:
        return {**dict.fromkeys(_NO_FIGURES), "unknown": performance.unknown if performance else "not sized"}
    output, first, token = speed.output_tokens_per_second, speed.ttft_ms, speed.tpot_ms
    return {
        "output_tokens_per_second": figure(output.value),
        "ttft_ms": figure(first.value) if first else None,
        "tpot_ms": figure(token.value),
        "basis": speed.basis,
        "error_band": speed_bounds(speed),
        "per_gpu": figure(speed.per_gpu.value),
        "per_user": figure(speed.per_user.value),
        "limited_by": speed.limit,
        "concurrency": round(speed.concurrency),
        "max_concurrency_for_objectives": performance.within_objectives,
        "gpu_hours_per_million_tokens": None if performance.gpu_hours is None else figure(performance.gpu_hours),
        "unknown": None if first else NO_FIRST,
    }


def figure(value: float) -> float:
    """An estimate rounded to three figures, its useful precision."""
    return float(f"{value:.3g}")


def bounds(found: Range | None) -> list[float] | None:
    """The bounds of a figure, low and high."""
    return [figure(found.low), figure(found.high)] if found else None


def speed_bounds(speed: Speed) -> dict[str, list[float] | None]:
    """The bounds of every figure of a speed, by its name in the JSON."""
    return {
        "output_tokens_per_second": bounds(speed.output_tokens_per_second),
        "ttft_ms": bounds(speed.ttft_ms),
        "tpot_ms": bounds(speed.tpot_ms),
        "per_gpu": bounds(speed.per_gpu),
        "per_user": bounds(speed.per_user),
        "gpu_hours_per_million_tokens": bounds(speed.gpu_hours),
    }


def figures_json(candidate: Candidate) -> dict[str, object]:
    """The figures of a candidate, as in `plan --json`."""
    kv, quality = candidate.kv_cache, candidate.quality
    return {
        "memory": memory_json(candidate.memory),
        "kv_cache": kv
        and {
            "bytes_per_token": kv.bytes_per_token,
            "tokens": kv.tokens,
            "max_concurrency": round(kv.max_concurrency, 2),
        },
        "performance": performance_json(candidate.performance),
        "quality": {
            "loss_percent": {"value": quality.value, "low": quality.low, "high": quality.high},
            "source": quality.source,
        },
        "rule_of_thumb": dict(candidate.thumb),
    }


def read_json(read: Mapping[str, Read]) -> dict[str, object]:
    """The facts that a row read, as plain data."""
    return {
        name: {"value": sorted(r.value) if isinstance(r.value, frozenset) else r.value, "source": r.source}
        for name, r in read.items()
    }


def reason_json(reason: Reason) -> dict[str, object]:
    """A reason as plain data."""
    return {
        "id": reason.row,
        "because": reason.because,
        "source": reason.source,
        "at": reason.at,
        "read": read_json(reason.read),
    }


def rejection_json(rejection: Rejection) -> dict[str, object]:
    """A rejected candidate: its identity, its figures if it was sized, and its reasons."""
    words = {key: value for key, value in choice_json(rejection.candidate).items() if key != "settings"}
    sized = rejection.candidate.memory is not None
    figures = figures_json(rejection.candidate) if sized else {"memory": None, "kv_cache": None}
    return {**words, **figures, "rows": [reason_json(reason) for reason in rejection.reasons]}


def as_json(plan: Plan, rejected: bool = True) -> dict[str, Any]:
    """The object of `gen-deploy plan --json`; without `rejected` (an empty list) for callers that count rejections themselves."""
    choice = plan.choice
    return {
        "schema_version": SCHEMA_VERSION,
        "name": plan.name,
        "rules": {"name": plan.rules_name, "digest": plan.rules_digest},
        "spec": dict(plan.spec),
        "choice": choice and choice_json(choice),
        **(figures_json(choice) if choice else dict.fromkeys(("memory", "kv_cache", "performance", "quality", "rule_of_thumb"))),
        "memory_terms": terms_json(choice) if choice else [],
        "host_memory": _term_json(choice.host) if choice and choice.host else None,
        "quantize": job_json(choice.job) if choice else None,
        "alternatives": [{**choice_json(c), **figures_json(c)} for c in plan.alternatives],
        "rejected": [rejection_json(r) for r in plan.rejected] if rejected else [],
        "warnings": [reason_json(w) for w in plan.warnings],
        "trace": [
            {
                "step": t.step,
                "row": t.row,
                **t.did,
                "read": read_json(t.read),
                "because": t.because,
                "source": t.source,
                "at": t.at,
            }
            for t in plan.trace
        ],
    }  # fmt: skip

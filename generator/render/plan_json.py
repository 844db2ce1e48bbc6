"""A plan as the object of `gen-deploy plan --json`, and `plan.json`: the plan for a repository, independent of the positions of rows. Floor 6,
pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from operator import attrgetter
from typing import Any

from generator.facts.job import job_json
from generator.plan import Candidate, Performance, Plan, Read, Reason, Rejection
from generator.quantity import gib
from generator.render.artifact import Artifact
from generator.render.yaml_text import SCALARS, json_text
from generator.sizing.footprint import Footprint
from generator.sizing.term import MemoryTerm
from generator.throughput.shapes import Range, Speed
from generator.verify.data import same_json

SCHEMA_VERSION = 1


CHOICE = (
    "engine", "engine_version", "back_end", "quantization", "bits", "group_size", "checkpoint", "revision", "gguf_file", "download_gib", "weights",
    "kv_cache_dtype", "dtype", "tensor_parallel", "pipeline_parallel", "replicas", "data_parallel", "expert_parallel", "max_model_len", "max_num_seqs",
    "max_num_batched_tokens", "gpu_memory_utilization", "gpu_layers", "cpu_experts", "task", "speculative",
)  # fmt: skip
FIELDS = {"quantization": "method", "download_gib": "download", "weights": "origin"}
"""The fields of a candidate that have other names in JSON."""
_CHOICE = attrgetter(*(FIELDS.get(key, key) for key in CHOICE))


def choice_json(candidate: Candidate) -> dict[str, Any]:
    """A candidate as in `plan --json`, without its figures; the download's size where it was looked up."""
    found = dict(zip(CHOICE, _CHOICE(candidate), strict=True))
    if candidate.download:
        found["download_gib"] = round(gib(candidate.download), 3)
    else:
        del found["download_gib"]
    return {**found, "adapters": dict(candidate.adapters), "settings": dict(candidate.settings)}


def memory_json(memory: Footprint | None) -> dict[str, float] | None:
    """GiB of the fullest GPU, rounded to 0.001."""
    if memory is None:
        return None
    names = ("weights", "kv_cache", "kv_needed", "activations", "cuda_graphs", "runtime", "draft", "adapters", "total", "budget", "capacity")
    figures = {name: round(gib(getattr(memory, name)), 3) for name in names}
    return {**figures, "headroom": round(memory.headroom, 4)}


def _term_json(term: MemoryTerm) -> dict[str, object]:
    """A memory term (computed for the choice) as a tree: each formula yields its bytes from inputs and parts."""
    inputs = {symbol: {"value": one.value, **({"source": one.source} if one.source else {})} for symbol, one in term.inputs.items()}
    return {
        "term": term.name, "gib": round(gib(term.bytes), 3), "bytes": round(term.bytes), "formula": term.formula, "inputs": inputs,
        "source": term.source, "parts": [_term_json(part) for part in term.parts],
    }  # fmt: skip


RANGES = {
    "output_tokens_per_second": "output_tokens_per_second", "ttft_ms": "ttft_ms", "tpot_ms": "tpot_ms", "per_gpu": "per_gpu", "per_user": "per_user",
    "gpu_hours_per_million_tokens": "gpu_hours",
}  # fmt: skip
"""Figures with a band, by their names in JSON, and the fields of a speed."""
PERFORMANCE = (
    "output_tokens_per_second", "ttft_ms", "tpot_ms", "basis", "error_band", "per_gpu", "per_user", "limited_by", "concurrency",
    "max_concurrency_for_objectives", "gpu_hours_per_million_tokens", "unknown",
)  # fmt: skip

NO_FIRST = "no time to first token: the compute speed of this hardware is unknown (give hardware.gpu as a mapping with fp16_tflops)"


def performance_json(performance: Performance | None) -> dict[str, object]:
    """The speed of a candidate; without an estimate every figure is null, and `unknown` gives the reason."""
    speed = performance.speed if performance else None
    if performance is None or speed is None:
        found: dict[str, object] = {"unknown": performance.unknown if performance else "not sized"}
    else:
        ranges = {name: getattr(speed, field) for name, field in RANGES.items()}
        found = {name: one and figure(one.value) for name, one in ranges.items()} | {
            "basis": speed.basis, "error_band": speed_bounds(speed), "limited_by": speed.limit, "concurrency": round(speed.concurrency),
            "max_concurrency_for_objectives": performance.within_objectives, "unknown": None if speed.ttft_ms else NO_FIRST,
        }  # fmt: skip
    return {key: found.get(key) for key in PERFORMANCE}


def figure(value: float) -> float:
    """An estimate rounded to three figures, its useful precision."""
    return float(f"{value:.3g}")


def bounds(found: Range | None) -> list[float] | None:
    """The bounds of a figure, low and high."""
    return [figure(found.low), figure(found.high)] if found else None


def speed_bounds(speed: Speed) -> dict[str, list[float] | None]:
    """The bounds of every figure of a speed, by its name in the JSON."""
    return {name: bounds(getattr(speed, field)) for name, field in RANGES.items()}


def figures_json(candidate: Candidate) -> dict[str, object]:
    """The figures of a candidate, as in `plan --json`."""
    kv, quality = candidate.kv_cache, candidate.quality
    return {
        "memory": memory_json(candidate.memory),
        "kv_cache": kv and {
            "bytes_per_token": kv.bytes_per_token, "tokens": kv.tokens, "max_concurrency": round(kv.max_concurrency, 2),
            **({} if kv.cold_tokens is None else {"cold_tokens": kv.cold_tokens}),
        },
        "performance": performance_json(candidate.performance),
        "quality": {
            "loss_percent": {"value": quality.value, "low": quality.low, "high": quality.high}, "source": quality.source, "of": quality.of,
            **({"measured": True} if quality.measured else {}),
        },
        "rule_of_thumb": dict(candidate.thumb),
    }  # fmt: skip


def read_json(read: Mapping[str, Read]) -> dict[str, object]:
    """The facts that a row read, as plain data."""
    return {name: {"value": sorted(r.value) if isinstance(r.value, frozenset) else r.value, "source": r.source} for name, r in read.items()}


def reason_json(reason: Reason) -> dict[str, object]:
    """A reason as plain data."""
    return {"id": reason.row, "because": reason.because, "source": reason.source, "at": reason.at, "read": read_json(reason.read)}


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
        "memory_terms": [_term_json(term) for term in choice.terms] if choice else [],
        "host_memory": _term_json(choice.host) if choice and choice.host else None,
        "quantize": job_json(choice.job) if choice else None,
        "alternatives": [{**choice_json(c), **figures_json(c)} for c in plan.alternatives],
        "rejected": [rejection_json(r) for r in plan.rejected] if rejected else [],
        "warnings": [reason_json(w) for w in plan.warnings],
        "trace": [
            {"step": t.step, "row": t.row, **t.did, "read": read_json(t.read), "because": t.because, "source": t.source, "at": t.at}
            for t in plan.trace
        ],
    }  # fmt: skip


RUNNERS_UP = 8
"""Alternatives that the files keep: the best of each engine come first. `plan --json` prints all."""


def kept(plan: Plan) -> dict[str, Any]:
    """The object of `plan --json` with few runners-up, `rejected` reduced to counts per row, and without row positions."""
    data = as_json(replace(plan, alternatives=plan.alternatives[:RUNNERS_UP]), rejected=False)
    counts = Counter(row for rejection in plan.rejected for row in {reason.row for reason in rejection.reasons})
    data["rejected"] = dict(sorted(counts.items()))
    data["warnings"] = sorted(data["warnings"], key=lambda warning: str(warning["id"]))
    for words in (data["choice"], *data["alternatives"]):
        if words:
            words["settings"] = dict(sorted(words["settings"].items()))
    steps = list(dict.fromkeys(entry["step"] for entry in data["trace"]))
    # only the order of preferences is part of a decision
    data["trace"] = sorted(data["trace"], key=lambda e: (steps.index(e["step"]), "" if e["step"] == "prefer" else str(e["row"])))
    for entry in (*data["warnings"], *data["trace"]):
        del entry["at"]  # a row's position is not part of the decision
    return {key: plain(part) for key, part in data.items()}


def plain(value: object) -> object:
    """Data as JSON types: lists for tuples and (sorted) for sets."""
    if isinstance(value, dict):
        if SCALARS.issuperset(map(type, value.values())):
            return value
        return {key: item if type(item) in SCALARS else plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [item if type(item) in SCALARS else plain(item) for item in value]
    if isinstance(value, frozenset | set):
        return sorted(value)
    return value


LEFT_OUT = ("alternatives", "trace", "memory_terms")
"""What only `plan --json` prints: a file in a repository changes where a decision does, not where a reason is put in other words."""


def written(data: Mapping[str, Any]) -> dict[str, Any]:
    """The `kept` data as the file has it: without runners-up, trace and formulas, and of rules only their names."""
    found = {key: part for key, part in data.items() if key not in LEFT_OUT}
    warnings = [{"id": warning["id"], "source": warning["source"]} for warning in data["warnings"]]
    return {**found, "rules": {"name": data["rules"]["name"]}, "warnings": warnings}


def plan_json(data: dict[str, object]) -> Artifact:
    """The file of the `kept` data, verified by parsing it again."""
    found = written(data)
    text = json_text(found)
    same_json(text, found, "plan.json")
    return Artifact("plan.json", text)

"""What the lock chose for a spec stays while it works: a newer catalogue or tool says what it would choose, and moves nothing. Floor 5,
pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from generator.decide.context import reasons
from generator.errors import InputError
from generator.hub.lock import Choice
from generator.plan import Candidate, Plan, Reason, changed
from generator.rulebook.table import SPEC
from generator.spec.deployment import DeploymentSpec

if TYPE_CHECKING:
    from generator.decide.decision import Outcome

DECISION = {
    "engine": "engine", "engine_version": "engine_version", "back_end": "back_end", "quantization": "method", "checkpoint": "checkpoint",
    "gguf_file": "gguf_file", "kv_cache_dtype": "kv_cache_dtype", "tensor_parallel": "tensor_parallel", "pipeline_parallel": "pipeline_parallel",
    "replicas": "replicas",
}  # fmt: skip
"""What a lock records of a candidate, by the names that pins have, and the candidate's fields."""

SETTINGS = {name: name for name in ("max_model_len", "max_num_seqs", "max_num_batched_tokens", "gpu_memory_utilization", "cpu_experts")}
"""What was fitted; it stays where the decision does."""


def question_of(spec: DeploymentSpec) -> str:
    """A digest of what a spec asks: a choice answers one question, and is forgotten with it. One without a digest answers any."""
    data = {key: value for key, value in spec.document.data.items() if key not in ("name", "version")}
    return hashlib.sha256(json.dumps(data, sort_keys=True, default=str).encode()).hexdigest()[:16]


def choice_of(spec: DeploymentSpec, candidate: Candidate, image: str | None) -> Choice:
    """What a lock records of the choice for a spec."""
    return Choice(question_of(spec), image, _said(candidate, DECISION), _said(candidate, SETTINGS))


def _said(candidate: Candidate, fields: Mapping[str, str]) -> dict[str, Any]:
    found = {key: getattr(candidate, name) for key, name in fields.items()}
    return {key: value for key, value in found.items() if value is not None}


def held(spec: DeploymentSpec, free: Outcome, choice: Choice, decided: Callable[[Mapping[str, object]], Outcome]) -> Outcome:
    """The outcome of what the lock chose, where it still works; else `free`, with the rows that are against it. `free` is decided without
    the lock, `decided` gives the outcome within a decision and its settings."""
    if choice.question not in ("", question_of(spec)):
        return free
    found = free.plan.choice
    if found is not None and _said(found, DECISION) == choice.decision and _said(found, SETTINGS) == choice.settings:
        return _with_image(free, choice)
    try:
        kept = decided(choice.decision)
        if _same(kept, choice) and _said(_chosen(kept), SETTINGS) != choice.settings:
            kept = max(decided({**choice.decision, **choice.settings}), kept, key=lambda one: _same(one, choice))
    except InputError as error:
        return _warned(free, "refused", error.problems[0].message)
    if not _same(kept, choice):
        rows = {reason.row for rejection in kept.plan.rejected for reason in rejection.reasons}
        return _warned(free, "refused", ", ".join(sorted(rows)) or "its weights are not to be had")
    kept = _with_image(kept, choice)
    if found is None or _said(found, DECISION) == choice.decision:
        return kept
    others = tuple(one for one in free.plan.alternatives if one.id != _chosen(kept).id)
    kept = replace(kept, plan=replace(kept.plan, alternatives=(found, *others)))
    return _warned(kept, "newer", ", ".join(_gains(_chosen(kept), found)))


def _chosen(outcome: Outcome) -> Candidate:
    assert outcome.plan.choice is not None
    return outcome.plan.choice


def _same(outcome: Outcome, choice: Choice) -> bool:
    return outcome.plan.choice is not None and _said(outcome.plan.choice, DECISION) == choice.decision


def _with_image(outcome: Outcome, choice: Choice) -> Outcome:
    if choice.image is None:
        return outcome
    best = changed(_chosen(outcome), image=choice.image)
    ranked = (outcome.ranked[0]._replace(candidate=best), *outcome.ranked[1:])
    return replace(outcome, plan=replace(outcome.plan, choice=best), ranked=ranked)


def _warned(outcome: Outcome, state: str, says: str) -> Outcome:
    plan: Plan = outcome.plan
    facts = {**plan.facts, "lock.state": state, "lock.says": says}
    found: tuple[Reason, ...] = tuple(one for one in reasons("warn", SPEC, facts, {}, outcome.context.book) if "lock.state" in one.read)
    return replace(outcome, plan=replace(plan, warnings=(*plan.warnings, *(one._replace(because=f"{one.because}: {says}") for one in found))))


def _gains(kept: Candidate, newer: Candidate) -> Iterator[str]:
    yield f"{newer.engine} {newer.engine_version} with {newer.method} on {newer.gpus} GPU{'s' if newer.gpus != 1 else ''}"
    one, other = kept.speed, newer.speed
    if one is not None and other is not None and one.output_tokens_per_second and other.output_tokens_per_second:
        yield f"{100 * (other.output_tokens_per_second.value / one.output_tokens_per_second.value - 1):+.0f} % output tokens/s"
        if one.tpot_ms and other.tpot_ms:
            yield f"{100 * (other.tpot_ms.value / one.tpot_ms.value - 1):+.0f} % time per token"
    if kept.quality.value is not None and newer.quality.value is not None and kept.quality.value != newer.quality.value:
        yield f"quality loss {newer.quality.value:g} % in place of {kept.quality.value:g} %"
    if kept.gpus != newer.gpus:
        yield f"{newer.gpus} GPUs in place of {kept.gpus}"

"""Names of the stage `sized`, once a candidate has been fitted. Floor 5, pure."""

from __future__ import annotations

from math import ceil, log2
from typing import TYPE_CHECKING

from generator.decide.beside import adapter_files, adapter_rank, adapter_slots
from generator.decide.consider import Pair
from generator.decide.context import Context
from generator.decide.extension import overrides_of
from generator.decide.fit import Fitted, longest_input
from generator.decide.job_weights import MADE
from generator.decide.offload import host_tenths
from generator.decide.speculative import config_of, speculation_for, word_of
from generator.quantity import gib
from generator.rulebook.table import Facts
from generator.spec.deployment import is_path

if TYPE_CHECKING:  # every start would pay for building the types
    from generator.decide.vocabulary import FitNames, JobNames, TargetNames

NO_JOB: JobNames = {"quantize.fits_gpu": None, "quantize.fits_host": None}


def target_of(context: Context, pair: Pair) -> str:
    """What the engine loads: the checkpoint, or the model itself."""
    return pair.checkpoint.id if pair.checkpoint else context.model.id


def target_names(context: Context, pair: Pair, facts: Facts) -> TargetNames:
    """Names of the stage `sized` that every layout of a pair has in common: what is loaded."""
    target, engine = target_of(context, pair), pair.engine
    gguf = context.book.section("methods")[pair.method]["family"] == "gguf"
    revision, mode = revision_of(context, pair), context.model.tokenizer_mode.get(engine.name)
    local = gguf and (pair.origin == "given" or is_path(target))
    if pair.origin == MADE:  # what a job makes is as fixed as what it is made of
        pinned = context.model.revision is not None or is_path(context.model.id)
    else:
        pinned = local or is_path(target) or (revision is not None and engine.has("model_url" if gguf else "revision"))
    word, found = (pair.checkpoint.file or "").upper() if pair.checkpoint else "", speculation_for(context, engine)
    return {
        "engine.settings": engine.settings(facts), "checkpoint": target,
        "gguf.hub": f"{target}:{word}" if gguf and not local and ":" not in target else (target if gguf and not local else None),
        "gguf.path": target if local else None, "gguf.is_local": local, "revision": revision, "has_revision": revision is not None,
        "weights.pinned": pinned, "port": context.spec.deploy.get("port") or engine.facts["port"],
        "tool_call_parser": context.model.tool_call_parser.get(engine.name),
        "reasoning_parser": context.model.reasoning_parser.get(engine.name),
        "tokenizer_mode": mode if engine.takes("tokenizer_mode", mode) else None, "speculative.config": found and config_of(engine, found),
        "speculative.word": found and word_of(engine, found.method), "speculative.draft": found and found.model,
        "speculative.draft_gguf": found and found.gguf, "speculative.draft_file": found and found.file,
        "speculative.tokens": found and found.tokens, "speculative.verified": found and found.tokens + 1,
        "adapters.modules": tuple(f"{name}={place}" for name, place in (context.spec.serve.get("adapters") or {}).items()),
        "adapters.files": adapter_files(context.spec), "adapters.rank": adapter_rank(context), "adapters.slots": adapter_slots(context),
        "config.overrides": overrides_of(engine, context.model, context.task, context.extension),
        "reasoning.parser": engine.takes("reasoning_parser", context.model.reasoning_parser.get(engine.name)),
    }  # fmt: skip


def fit_names(context: Context, fitted: Fitted, kv_dtype: str, kv_support: str) -> FitNames:
    """Names of the stage `sized` that say what fitting found."""
    load, footprint, held = fitted.load, fitted.footprint, fitted.held or fitted.load.max_num_seqs
    at_once = min(held * fitted.replicas, context.workload.concurrency or held * fitted.replicas) if fitted.fits else 0
    wanted = min(context.workload.concurrency or 0, fitted.asked.sequences * fitted.replicas)
    share = min(1.0, at_once / wanted) if context.workload.concurrency else 1.0
    every = 0 if context.gpu.vendor == "cpu" else context.model.architecture.layers + 1
    layers = every if fitted.gpu_layers is None else fitted.gpu_layers
    experts = fitted.cpu_experts
    return {
        "gpu_layers": layers, "layers.on_cpu": every - layers, "layers.spilled": layers < every or experts > 0,
        "layers.cpu_tenths": ceil(10 * (every - layers) / every) if every else 0, "experts.on_cpu": experts,
        "layers.split": ",".join(map(str, fitted.split)) or None, "offload.host_tenths": host_tenths(context, fitted.host_read),
        "experts.as_pinned": context.pinned("cpu_experts") in (None, experts), "kv_cache.dtype": kv_dtype, "kv_cache.support": kv_support,
        "kv_cache.tokens": fitted.kv_cache.tokens, "kv_cache.max_concurrency": fitted.kv_cache.max_concurrency,
        "kv_cache.gib": gib(footprint.kv_cache),
        "kv_cache.cold_short": fitted.kv_cache.cold_tokens is not None and fitted.kv_cache.cold_tokens < load.max_model_len <= fitted.kv_cache.tokens,
        "max_model_len": load.max_model_len, "max_num_seqs": load.max_num_seqs, "max_num_batched_tokens": load.batched_tokens,
        "cache_tokens": load.max_model_len * load.max_num_seqs, "gpu_memory_utilization": fitted.fraction,
        "max_input_tokens": longest_input(context, load.max_model_len), "enforce_eager": load.enforce_eager,
        "context.halvings": halvings(fitted.asked.context, load.max_model_len),
        "sequences.halvings": halvings(fitted.asked.sequences, held) if context.workload.concurrency else 0,
        "context.lowered": fitted.context_lowered, "sequences.lowered": fitted.sequences_lowered,
        "sequences.capped": fitted.sequences_capped, "load.stated": "concurrency" in context.workload.given, "load.held": at_once,
        "load.held_share": share, "share.stretched": fitted.stretched, "memory.headroom": footprint.headroom,
        "memory.weights_gib": gib(footprint.weights), "memory.budget_gib": gib(footprint.budget),
        "memory.uncounted": 1 - max(footprint.budget, footprint.total) / footprint.capacity if footprint.capacity else None,
    }  # fmt: skip


def halvings(asked: int, got: int) -> int:
    """How often `asked` was halved to reach `got`, to the nearest: a quarter less is not yet a halving."""
    return round(log2(asked / got)) if 0 < got < asked else 0


def revision_of(context: Context, pair: Pair) -> str | None:
    """The commit of what is loaded: the model's, where the model's own repository is loaded or the one that its id names, else the checkpoint's."""
    own = pair.checkpoint is None or pair.origin == "given" or (context.spec.model.form is not None and pair.origin == "named")
    return (context.model.revision if own else None) or (pair.checkpoint.revision if pair.checkpoint is not None else None)


def download_of(context: Context, pair: Pair) -> int | None:
    """Bytes of the weights that are fetched, where somebody looked them up."""
    if pair.checkpoint is not None and pair.origin != "given":
        return pair.checkpoint.size if pair.checkpoint.exact else None
    return context.model.architecture.tensor_bytes if context.model.basis == "lock" else None

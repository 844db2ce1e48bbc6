"""The names that rules may read, typed by the stage at which each gets its value; `rules/vocabulary.yaml` declares them. Floor 5, for type
checks only: imported under `TYPE_CHECKING`, as every start would pay for building the types. Whoever makes or reads a name by its literal
is checked by mypy, and a test holds these types against the declarations. A value of None is `unknown` to a row."""


from __future__ import annotations

from typing import TypedDict

SpecNames = TypedDict("SpecNames", {
    "profile": str, "goal": str, "concurrency": int | None, "input_tokens": int, "output_tokens": int, "max_context": int,
    "context.beyond_model": bool, "context.extended": bool, "context.factor": float | None, "context.original": int | None,
    "context.too_short": bool, "pinned": frozenset[str], "gpu": str | None, "gpu.vendor": str, "gpu.architecture": str,
    "gpu.computes": frozenset[str], "gpu.bf16": bool, "gpu.capacity_gib": float, "gpu.capacity_basis": str, "gpu.unified": bool,
    "gpu.interconnect": str, "gpu.listed": bool, "gpu.slice": bool, "gpu.shared": bool, "gpus.unequal": bool, "gpus.left_out": int,
    "gpus": int, "gpus_per_node": int, "nodes": int, "network": str | None, "expose.loopback": bool, "expose.api_key": bool, "model": str | None,
    "model.tags": frozenset[str] | None, "model.basis": str, "model.billion": float, "model.size_known": bool,
    "model.family": str | None, "model.moe": bool, "model.mla": bool, "model.hybrid": bool, "model.multimodal": bool,
    "model.encoder": bool, "task": str, "serve.images": int | None, "speculative": str, "speculative.assumed": bool,
    "adapters": int, "model.dtype": str, "model.chat": bool | None, "model.licence": str | None, "model.gated": bool,
    "model.needs_remote_code": bool, "model.hub": str | None, "model.revision_given": bool, "quantize.act_order": bool, "quantize.kv_scales": bool,
    "trust_remote_code": bool, "served_name.blanks": bool, "served_name": str, "host": str, "lock.state": str | None,
    "lock.says": str | None,
})  # fmt: skip

EngineNames = TypedDict("EngineNames", {
    "engine": str, "engine.back_end": str | None, "engine.status": str, "engine.runs_on_vendor": bool,
    "engine.version_listed": bool, "engine.below_safe": bool, "engine.whole_prompts": bool, "engine.too_old": bool, "engine.dropped": bool,
    "engine.version_between": bool,
    "engine.lacks_model": bool, "engine.needs_remote_code": bool, "engine.pinned": bool, "engine.serves_task": bool,
    "engine.extends_context": bool, "engine.speculates": bool, "engine.serves_adapters": bool, "engine.loads_hub": bool,
    "engine.api_key": bool, "tools.parser": bool, "tools.template": str | None, "recipe.kv_cache": str | None, "context.beyond_engine": bool,
})  # fmt: skip

MethodNames = TypedDict("MethodNames", {
    "method": str, "method.family": str, "method.bits": float, "method.pinned": bool, "method.imatrix": bool,
    "method.as_published": bool, "dtype": str, "dtype.narrower": bool, "quality.loss": float | None,
    "quality.loss_steps": int | None, "quality.measured_steps": int | None, "quality.over_limit": bool | None,
})  # fmt: skip

_PairNames = TypedDict("_PairNames", {
    "checkpoint.fp8_cache": bool, "engine.reads_format": bool, "engine.reads_layout": bool,
    "pair.pinned": bool, "weights.on_hub": bool | None, "support": str, "weights.origin": str, "weights.gated": bool,
})  # fmt: skip

LayoutNames = TypedDict("LayoutNames", {
    "tensor_parallel": int, "pipeline_parallel": int, "replicas": int, "gpus_used": int, "gpus_idle": int, "expert_parallel": bool,
    "data_parallel": int, "parallel.ranks": int, "parallel.experts_divide": bool, "engine.attention_ranks": bool,
    "parallel.heads_divide": bool, "parallel.kv_heads_repeat": bool, "parallel.groups_divide": bool, "parallel.blocks_divide": bool,
    "tables.fit_host": bool | None, "parallel.layers_enough": bool, "parallel.across_nodes": bool, "engine.splits_tensors": bool,
    "engine.splits_layers": bool, "engine.replicates": bool, "engine.replicates_apart": bool, "engine.spans_nodes": bool,
})  # fmt: skip

TargetNames = TypedDict("TargetNames", {
    "speculative.config": str | None, "speculative.word": str | None, "speculative.draft": str | None,
    "speculative.draft_gguf": str | None, "speculative.draft_file": str | None, "speculative.tokens": int | None, "speculative.verified": int | None,
    "adapters.modules": tuple[str, ...], "adapters.files": str | None, "adapters.rank": int, "adapters.slots": int,
    "engine.settings": frozenset[str], "checkpoint": str, "gguf.hub": str | None, "gguf.path": str | None, "gguf.is_local": bool,
    "revision": str | None, "weights.pinned": bool, "has_revision": bool, "port": int, "tool_call_parser": str | None,
    "reasoning_parser": str | None, "tokenizer_mode": str | None, "reasoning.parser": bool, "config.overrides": str | None,
})  # fmt: skip


FitNames = TypedDict("FitNames", {
    "kv_cache.dtype": str, "kv_cache.support": str, "kv_cache.tokens": int, "kv_cache.max_concurrency": float, "kv_cache.cold_short": bool,
    "kv_cache.gib": float,
    "max_model_len": int, "max_num_seqs": int, "max_num_batched_tokens": int, "cache_tokens": int, "gpu_memory_utilization": float,
    "max_input_tokens": int, "enforce_eager": bool, "gpu_layers": int, "layers.on_cpu": int, "layers.spilled": bool,
    "layers.cpu_tenths": int, "layers.split": str | None, "experts.on_cpu": int, "experts.as_pinned": bool, "offload.host_tenths": int,
    "context.halvings": int, "sequences.halvings": int, "context.lowered": bool, "sequences.lowered": bool, "sequences.capped": bool,
    "load.stated": bool, "load.held": int, "load.held_share": float, "share.stretched": bool, "memory.headroom": float,
    "memory.weights_gib": float, "memory.budget_gib": float, "memory.uncounted": float | None,
})  # fmt: skip

SpeedNames = TypedDict("SpeedNames", {
    "speed.output_tokens_per_second": float | None, "speed.tpot_ms": float | None, "speed.ttft_ms": float | None,
    "objective.missed": int, "objective.ttft_ratio": float | None, "objective.tpot_ratio": float | None,
})  # fmt: skip

JobNames = TypedDict("JobNames", {
    "quantize.fits_gpu": bool | None, "quantize.fits_host": bool | None,
})  # fmt: skip


class PairNames(EngineNames, MethodNames, _PairNames):
    """Names of the stage `pair`."""


class PairFacts(SpecNames, PairNames):
    """What is known of a pair."""


class LayoutFacts(PairFacts, LayoutNames):
    """What is known of a pair in one layout."""


class SizedNames(TargetNames, FitNames, SpeedNames, JobNames):
    """Names of the stage `sized`."""


class Names(LayoutFacts, SizedNames):
    """Every name: what is known of a sized candidate."""


STAGE_NAMES = (SpecNames, PairNames, LayoutNames, SizedNames)
"""The declarations of each stage, in the order of `STAGES`."""
Sources = dict[str, str | None]
"""The sources of the names whose values come from facts."""

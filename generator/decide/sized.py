"""Names of the stages `layout`, what a way to use the GPUs means for this model and engine, and `sized`, once a candidate has been fitted.
Floor 5, pure."""

from __future__ import annotations

from math import ceil, log2
from typing import TYPE_CHECKING, NamedTuple

from generator.decide.beside import adapter_files, adapter_rank, adapter_slots
from generator.decide.consider import Pair
from generator.decide.context import Context
from generator.decide.extension import overrides_of
from generator.decide.fit import Fitted, longest_input
from generator.decide.job_weights import MADE
from generator.decide.names import recipe
from generator.decide.offload import host_tenths
from generator.decide.speculative import config_of, speculation_for, word_of
from generator.decide.weigh import tables_in_host
from generator.facts.engine import Engine
from generator.facts.model import Checkpoint
from generator.quantity import GIB, gib, version_key
from generator.rulebook.memo import remembered
from generator.rulebook.table import Facts
from generator.sizing.footprint import Layout
from generator.sizing.tensors import Cuts, cuts
from generator.spec.deployment import is_path

if TYPE_CHECKING:  # every start would pay for building the types
    from generator.decide.vocabulary import FitNames, JobNames, LayoutNames, TargetNames


class Units(NamedTuple):
    """What may not be cut: the group of weights that shares a scale, the rows of an FP8 block; None where there are none. `padded` are
    lengths that the maker of the checkpoint rounded up, `wide` the roles that it left in 16 bits. `tables` are bytes in the host's memory
    for each copy."""

    group: int | None
    block: int | None
    padded: tuple[tuple[int, int], ...]
    wide: frozenset[str]
    tables: int


UNCUT = Units(None, None, (), frozenset(), 0)
"""Of what may be cut everywhere."""


def units_of(context: Context, engine: Engine, method: str, checkpoint: Checkpoint | None) -> Units:
    """The units of a method, as a checkpoint has them."""
    entry = context.book.section("methods")[method]
    group = None
    if entry["family"] in ("int4", "fp4"):
        group = (checkpoint.group_size if checkpoint else None) or entry.get("group_size") or 1
    wide = frozenset(checkpoint.ignore or ()) if checkpoint else frozenset[str]()
    padded = tuple(checkpoint.padded.items()) if checkpoint else ()
    return Units(group, (entry.get("block") or (None,))[0], padded, wide, tables_in_host(context, engine, method, checkpoint))


@remembered
def _cuts(context: Context, wide: frozenset[str]) -> Cuts:
    return cuts(context.model.architecture, wide)


@remembered
def arranged(context: Context, engine: Engine, layout: Layout, units: Units) -> tuple[Layout, LayoutNames]:
    """The layout, with expert parallelism where that is needed, and its names."""
    layout = with_experts(context, engine, layout, units)
    return layout, layout_names(context, engine, layout, units)


def with_experts(context: Context, engine: Engine, layout: Layout, units: Units) -> Layout:
    """The layout with expert parallelism where cutting the experts would break their groups or blocks. Whole experts are spread over the
    GPUs instead, if their number divides."""
    architecture, parts = context.model.architecture, layout.tensor_parallel
    if parts == 1 or layout.expert_parallel or context.pinned("expert_parallel") is False:
        return layout
    if not architecture.experts or architecture.experts % parts or not engine.has("expert_parallel"):
        return layout
    whole = _groups(context, layout, units) and _blocks(context, layout, units)
    if whole and (layout.pipeline_parallel > 1 or not recipe(context, engine).get("expert_parallel")):
        return layout
    return layout._replace(expert_parallel=True)


def _groups(context: Context, layout: Layout, units: Units) -> bool:
    if units.group is None or layout.tensor_parallel == 1:
        return True
    return _cuts(context, units.wide).divide(layout.tensor_parallel, units.group, layout.expert_parallel, outputs_too=False, padded=dict(units.padded))


def _blocks(context: Context, layout: Layout, units: Units) -> bool:
    if units.block is None or layout.tensor_parallel == 1:
        return True
    if not _cuts(context, units.wide).divide(layout.tensor_parallel, units.block, layout.expert_parallel, outputs_too=True):
        return False
    architecture = context.model.architecture
    if architecture.mla or not architecture.kv_heads or "attention" in units.wide:
        return True
    # keys and values are parts of one merged matrix; heads that are fewer than the GPUs are repeated, whole
    heads = max(1, architecture.kv_heads // layout.tensor_parallel)
    return heads * architecture.head_dim % units.block == 0


def layout_names(context: Context, engine: Engine, layout: Layout, units: Units) -> LayoutNames:
    """Names of the stage `layout`."""
    architecture, memory = context.model.architecture, context.spec.hardware.host_memory_gib
    parts, used = layout.tensor_parallel, layout.gpus * layout.replicas
    heads, kv_heads = architecture.attention_heads, architecture.kv_heads
    facts, nodes = engine.facts.get("copies") or {}, context.spec.hardware.nodes
    ranks = engine.facts.get("attention_ranks")
    copies = facts.get("moe" if architecture.moe else "dense")
    apart = copies == "processes" and version_key(engine.version) >= version_key(facts.get("processes_since") or engine.version)
    return {
        "tensor_parallel": parts, "pipeline_parallel": layout.pipeline_parallel, "replicas": layout.replicas, "gpus_used": used,
        "gpus_idle": context.gpus - used, "expert_parallel": layout.expert_parallel, "data_parallel": layout.data_parallel,
        "parallel.ranks": layout.ranks,
        "parallel.experts_divide": not layout.expert_parallel or (architecture.experts > 0 and architecture.experts % layout.ranks == 0),
        "engine.attention_ranks": ranks is not None and version_key(engine.version) >= version_key(ranks["since"]),
        "parallel.heads_divide": not heads or heads % parts == 0,
        "parallel.kv_heads_repeat": bool(kv_heads) and not architecture.mla and kv_heads % parts != 0,
        "parallel.groups_divide": _groups(context, layout, units), "parallel.blocks_divide": _blocks(context, layout, units),
        "tables.fit_host": (None if units.tables else True) if memory is None else units.tables * layout.replicas <= memory * nodes * GIB,
        "parallel.layers_enough": not architecture.layers or layout.pipeline_parallel <= architecture.layers,
        "parallel.across_nodes": layout.gpus > context.spec.hardware.gpus_per_node, "engine.splits_tensors": engine.has("tensor_parallel"),
        "engine.splits_layers": engine.has("pipeline_parallel") or "gguf" in engine.facts["formats"],
        "engine.replicates": engine.has("data_parallel") and copies in (None, "own"),
        "engine.replicates_apart": apart and used <= context.spec.hardware.gpus_per_node,
        "engine.spans_nodes": engine.has("nodes") or ("mpi" in engine.facts and context.spec.deploy.get("targets") == ["slurm"]),
    }  # fmt: skip


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

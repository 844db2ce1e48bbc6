"""Names of the stage `layout`: what a way to use the GPUs means for this model and engine. Floor 5, pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from generator.decide.context import Context
from generator.decide.weigh import tables_in_host
from generator.facts.engine import Engine
from generator.facts.model import Checkpoint
from generator.quantity import GIB, version_key
from generator.rulebook.memo import remembered
from generator.sizing.footprint import Layout
from generator.sizing.tensors import Cuts, cuts

if TYPE_CHECKING:  # every start would pay for building the types
    from generator.decide.vocabulary import LayoutNames


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
    if _groups(context, layout, units) and _blocks(context, layout, units):
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
        "tensor_parallel": parts,
        "pipeline_parallel": layout.pipeline_parallel,
        "replicas": layout.replicas,
        "gpus_used": used,
        "gpus_idle": context.gpus - used,
        "expert_parallel": layout.expert_parallel,
        "data_parallel": layout.data_parallel,
        "parallel.ranks": layout.ranks,
        "parallel.experts_divide": not layout.expert_parallel or (architecture.experts > 0 and architecture.experts % layout.ranks == 0),
        "engine.attention_ranks": ranks is not None and version_key(engine.version) >= version_key(ranks["since"]),
        "parallel.heads_divide": not heads or heads % parts == 0,
        "parallel.kv_heads_repeat": bool(kv_heads) and not architecture.mla and kv_heads % parts != 0,
        "parallel.groups_divide": _groups(context, layout, units),
        "parallel.blocks_divide": _blocks(context, layout, units),
        "tables.fit_host": (None if units.tables else True) if memory is None else units.tables * layout.replicas <= memory * nodes * GIB,
        "parallel.layers_enough": not architecture.layers or layout.pipeline_parallel <= architecture.layers,
        "parallel.across_nodes": layout.gpus > context.spec.hardware.gpus_per_node,
        "engine.splits_tensors": engine.has("tensor_parallel"),
        "engine.splits_layers": engine.has("pipeline_parallel") or "gguf" in engine.facts["formats"],
        "engine.replicates": engine.has("data_parallel") and copies in (None, "own"),
        "engine.replicates_apart": apart and used <= context.spec.hardware.gpus_per_node,
        "engine.spans_nodes": engine.has("nodes"),
    }

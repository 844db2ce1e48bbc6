"""Names of the stage `layout`: what a way to use the GPUs means for this model and engine.

Floor 5, pure.
"""

from __future__ import annotations

from typing import Any

from generator.decide.consider import Pair
from generator.decide.context import Context
from generator.decide.names import Names
from generator.sizing.footprint import Layout
from generator.sizing.split import NOT_PADDED, Cuts


def arranged(context: Context, pair: Pair, layout: Layout, cut: Cuts, known: dict[Any, tuple[Layout, Names]]) -> tuple[Layout, Names]:
    """The layout, with expert parallelism where that is needed, and its names; `known` is one decision's memory of them."""
    key = (pair.engine.name, layout, *_units(context, pair))
    if key not in known:
        layout = with_experts(context, pair, layout, cut)
        known[key] = (layout, layout_names(context, pair, layout, cut))
    return known[key]


def _units(context: Context, pair: Pair) -> tuple[Any, ...]:
    """What `layout_names` reads of a method and a checkpoint."""
    entry, checkpoint = context.book.section("methods")[pair.method], pair.checkpoint
    block = entry.get("block")
    of_checkpoint = (checkpoint.group_size, tuple(checkpoint.padded.items())) if checkpoint else None
    return entry["family"], entry.get("group_size"), tuple(block) if block else None, of_checkpoint


def with_experts(context: Context, pair: Pair, layout: Layout, cut: Cuts) -> Layout:
    """The layout with expert parallelism where cutting the experts would break their groups or blocks.

    Whole experts are spread over the GPUs instead, if their number divides.
    """
    architecture, parts = context.model.architecture, layout.tensor_parallel
    if parts == 1 or not architecture.experts or architecture.experts % parts or not pair.engine.has("expert_parallel"):
        return layout
    if _divides(context, pair, layout, cut):
        return layout
    return layout._replace(expert_parallel=True)


def _divides(context: Context, pair: Pair, layout: Layout, cut: Cuts) -> bool:
    return _groups(context, pair, layout, cut) and _blocks(context, pair, layout, cut)


def _groups(context: Context, pair: Pair, layout: Layout, cut: Cuts) -> bool:
    entry = context.book.section("methods")[pair.method]
    if entry["family"] not in ("int4", "fp4") or layout.tensor_parallel == 1:
        return True
    group = (pair.checkpoint.group_size if pair.checkpoint else None) or entry.get("group_size") or 1
    padded = pair.checkpoint.padded if pair.checkpoint else NOT_PADDED
    return cut.divide(layout.tensor_parallel, group, layout.expert_parallel, outputs_too=False, padded=padded)


def _blocks(context: Context, pair: Pair, layout: Layout, cut: Cuts) -> bool:
    block = context.book.section("methods")[pair.method].get("block")
    if not block or layout.tensor_parallel == 1:
        return True
    if not cut.divide(layout.tensor_parallel, block[0], layout.expert_parallel, outputs_too=True):
        return False
    architecture = context.model.architecture
    if architecture.mla or not architecture.kv_heads:
        return True
    # keys and values are parts of one merged matrix; heads that are fewer than the GPUs are repeated, whole
    heads = max(1, architecture.kv_heads // layout.tensor_parallel)
    return heads * architecture.head_dim % int(block[0]) == 0


def layout_names(context: Context, pair: Pair, layout: Layout, cut: Cuts) -> Names:
    """Names of the stage `layout`."""
    architecture, engine = context.model.architecture, pair.engine
    parts, used = layout.tensor_parallel, layout.gpus * layout.replicas
    heads, kv_heads = architecture.attention_heads, architecture.kv_heads
    return {
        "tensor_parallel": parts,
        "pipeline_parallel": layout.pipeline_parallel,
        "replicas": layout.replicas,
        "gpus_used": used,
        "gpus_idle": context.gpus - used,
        "expert_parallel": layout.expert_parallel,
        "parallel.heads_divide": not heads or heads % parts == 0,
        "parallel.kv_heads_repeat": bool(kv_heads) and not architecture.mla and kv_heads % parts != 0,
        "parallel.groups_divide": _groups(context, pair, layout, cut),
        "parallel.blocks_divide": _blocks(context, pair, layout, cut),
        "parallel.layers_enough": not architecture.layers or layout.pipeline_parallel <= architecture.layers,
        "parallel.across_nodes": layout.gpus > context.spec.hardware.gpus_per_node,
        "engine.splits_tensors": engine.has("tensor_parallel"),
        "engine.splits_layers": engine.has("pipeline_parallel") or "gguf" in engine.facts["formats"],
        "engine.replicates": engine.has("data_parallel"),
        "engine.spans_nodes": engine.has("nodes"),
    }

"""Which candidates there are: engine × method × parallelism × replicas, within what the spec pins. Floor 5, pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from generator.decide.context import Context, shapes_of
from generator.decide.job_weights import MADE, Made, can_be_source, values_for
from generator.decide.names import pair_names, spec_names
from generator.facts.engine import Engine, back_ends_of, known_on, resolve_engine, support_of
from generator.facts.model import Checkpoint
from generator.facts.model_names import GGUF, pin_accepts
from generator.rulebook.book import file_format
from generator.rulebook.memo import remembered
from generator.sizing.footprint import Layout


class Pair(NamedTuple):
    """An engine with a method, and where the weights come from; `made` is what a job would make."""

    engine: Engine
    method: str
    checkpoint: Checkpoint | None
    origin: str
    made: Made | None = None


def pairs(context: Context, making: bool) -> Iterator[Pair]:
    """Every engine with every method, or those that the spec pins; with `making` a job may make what is not to be had."""
    methods = context.book.section("methods")
    wanted = context.pinned("quantization")
    names = [name for name in methods if wanted is None or pin_accepts(wanted, name)]
    both = context.thorough or context.book.sizing != "detailed" or (wanted is not None and context.pinned("engine") is not None)
    # if the catalogue lists a model's GGUF files, unpublished types are considered only for `--why-not`
    listed = wanted is None and not both and any(method.startswith("gguf") for method in context.model.checkpoints)
    architecture = context.book.section("architectures")[context.gpu.architecture]
    for name in context.book.section("engines"):
        if context.pinned("engine") in (None, name):
            engine = resolve_engine(name, context.pinned("engine_version"), context.book)
            if context.pinned("back_end") and context.pinned("back_end") not in back_ends_of(engine.facts, architecture):
                continue
            for method in names:
                if not engine.reads(methods[method]) and not both:
                    continue
                checkpoint, origin = weights_of(context, engine, method)
                if origin == "missing" and wanted == GGUF:
                    continue  # the pin means what is to be had
                pair = Pair(engine, method, checkpoint, origin)
                if wanted is None and not both and origin == "missing" and methods[method]["checkpoint"] == "published":
                    continue
                if making and (origin == "missing" or (context.making and origin in ("online", "published"))):
                    pair = to_be_made(context, pair)
                    if wanted is not None and context.making and pair.made is None:
                        pair = Pair(engine, method, None, "missing")  # the spec wants it made: what others made does not stand in
                elif listed and origin == "missing" and file_format(methods[method]) == "gguf":
                    continue
                yield pair


def to_be_made(context: Context, pair: Pair) -> Pair:
    """The pair with weights that a job makes, where there is a tool for it; else as it is."""
    entry = context.book.section("methods")[pair.method]
    if entry["checkpoint"] != "prepared" or not can_be_source(context) or not pair.engine.reads(entry):
        return pair
    if not context.thorough and not _may_run(context, pair):
        return pair
    names = pair_names(context, pair.engine, pair.method, None, MADE)[0]
    values = values_for(context, pair.engine, pair.method, {**spec_names(context)[0], **names})
    if values is None:
        return pair
    from generator.decide.weight_jobs import checkpoint_of, made_of  # few decisions look for a job, and every start would pay

    made = made_of(context, pair.method, values)
    return pair if made is None else Pair(pair.engine, pair.method, checkpoint_of(made, pair.method), MADE, made)


def _may_run(context: Context, pair: Pair) -> bool:
    """Whether the engine could run the method on this hardware at all: where the matrix says no, no job is looked for."""
    entry, gpu = context.book.section("methods")[pair.method], context.gpu
    gguf = ("gguf",) if file_format(entry) == "gguf" else ()
    made = {tool["layout"] for tool in context.book.section("quantizers").values()}
    keys = (pair.method, *gguf, *(key for layout, key in (entry.get("support_key") or {}).items() if layout in made))
    cells = [support_of(context.book, pair.engine, key, gpu.architecture, shapes_of(context))[0] for key in keys]
    return gpu.vendor in pair.engine.facts["vendors"] and any(cell != "no" for cell in cells)


def suited(context: Context, pair: Pair, layout: Layout) -> Pair:
    """A pair whose weights are made, with the largest groups of weights that divide in this layout."""
    made = pair.made
    if made is None or made.group_size is None:
        return pair
    from generator.decide.weight_jobs import checkpoint_of, divides, group_sizes, made_of

    for size in group_sizes(context, made, pair.method):
        tried = made_of(context, pair.method, made.values, size)
        if tried is not None and divides(tried, layout.ranks, size, layout.expert_parallel):
            return pair._replace(checkpoint=checkpoint_of(tried, pair.method), made=tried)
    return pair


def weights_of(context: Context, engine: Engine, method: str) -> tuple[Checkpoint | None, str]:
    """Where an engine gets a model's weights in a method from, and the checkpoint if there is one to load."""
    model, request = context.model, context.spec.model
    own = model.own_method
    entry = context.book.section("methods")[method]
    if own == method:
        quantization = model.architecture.quantization
        layout = quantization.layout if quantization else ("gguf" if entry["family"] == "gguf" else None)
        word = method.removeprefix("gguf-") if entry["family"] == "gguf" else None
        target = request.gguf or model.id
        return Checkpoint(target, "given", layout, quantization.group_size if quantization else None, word), "given"
    found = model.checkpoints.get(method)
    if context.kept and found is not None:
        found = next((one for one in model.published.get(method, ()) if one.id == context.kept.get("checkpoint")), found)
    elif found is not None and found.origin == "published":
        unread = engine.facts.get("unread_layouts") or ()
        found = next((one for one in model.published.get(method, ()) if one.layout not in unread and known_on(context.book, request.elsewhere, one.id)), found)
    words = engine.spelling("quantization") or {}  # with them this version quantises while it loads
    online = own is None and not request.gguf and engine.name in (entry.get("online") or {}) and method in (words.get("values") or words.get("choices") or ())
    if found is not None and not (online and found.origin == "published" and (request.revision or not known_on(context.book, request.elsewhere, found.id))):
        return found, found.origin  # a commit of the model's own repository says nothing about another one
    if own is None and not request.gguf:
        if entry["checkpoint"] == "native":
            return None, "native"
        if online:
            return None, "online"
    return None, "missing"


@remembered
def layouts(context: Context, engine: Engine) -> list[Layout]:
    """The ways to use the spec's GPUs: those of one node, or all nodes with a pipeline stage for each."""
    hardware = context.spec.hardware
    per_node, nodes = hardware.gpus_per_node, hardware.nodes
    tensor, pipeline = context.pinned("tensor_parallel"), context.pinned("pipeline_parallel")
    fixed = context.spec.deploy.get("replicas") or context.pinned("replicas")
    attention = int(context.pinned("data_parallel") or 1)
    if attention > 1:  # ranks of attention: as pinned, on all GPUs that they leave each
        ways = int(tensor or max(1, per_node * nodes // attention))
        return [Layout(ways, int(pipeline or 1), bool(context.pinned("expert_parallel")), fixed or 1, attention)]
    gguf = "gguf" in engine.facts["formats"]
    shapes: list[tuple[int, int]] = []
    if (tensor is not None or pipeline is not None) and not context.gpu.sizes:
        splits = [tensor] if tensor is not None else _parts(per_node)
        shapes = [(t, pipeline or 1) for t in splits if t * (pipeline or 1) <= per_node * nodes]
        if pipeline is None and nodes > 1 and tensor is not None:
            shapes.append((tensor, per_node * nodes // tensor))
    elif context.gpu.sizes:
        shapes = [(1, per_node)] if gguf else []
    elif gguf:
        shapes = [(1, stages) for stages in _parts(per_node)]
    else:
        shapes = [(t, 1) for t in _parts(per_node)]
        if nodes > 1:
            shapes.append((per_node, nodes))
    found = []
    for t, p in shapes:
        most = max(1, per_node // (t * p))
        copied = engine.has("data_parallel") or "copies" in engine.facts
        counts = {fixed} if fixed else {1, most} if copied else {1}
        whole = bool(context.pinned("expert_parallel")) and t > 1
        found += [Layout(t, p, expert_parallel=whole, replicas=replicas) for replicas in sorted(counts)]
    return found + _in_ranks(context, engine)


def _in_ranks(context: Context, engine: Engine) -> list[Layout]:
    """Attention in ranks on all GPUs of one node: of models whose latent cache every GPU would hold again, and whose experts can be spread."""
    architecture, per_node = context.model.architecture, context.spec.hardware.gpus_per_node
    said = context.spec.pin.keys() & {"tensor_parallel", "pipeline_parallel", "data_parallel", "expert_parallel", "replicas"} or context.kept
    if said or context.spec.deploy.get("replicas") or context.spec.hardware.nodes > 1 or "attention_ranks" not in engine.facts:
        return []
    if not (architecture.mla and architecture.experts) or architecture.experts % per_node:
        return []
    return [Layout(t, 1, True, 1, per_node // t) for t in _parts(per_node) if t < per_node and per_node % t == 0]


def stages(context: Context, engine: Engine) -> Iterator[Layout]:
    """Pipelines within a node, for when no other way works: weights that do not divide, or odd numbers of GPUs."""
    per_node = context.spec.hardware.gpus_per_node
    if "gguf" in engine.facts["formats"] or context.gpu.sizes or context.spec.pin.keys() & {"tensor_parallel", "pipeline_parallel", "data_parallel"}:
        return
    for t in _parts(per_node):
        for p in range(2, per_node // t + 1):
            if per_node % (t * p) == 0:
                yield Layout(t, p, replicas=context.spec.deploy.get("replicas") or 1)


def _parts(gpus: int) -> list[int]:
    """Numbers of GPUs that one replica may have: divisors of those there are, and powers of two."""
    return [n for n in range(1, gpus + 1) if gpus % n == 0 or n & (n - 1) == 0]

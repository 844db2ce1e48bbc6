"""Bytes of a candidate's weights on the fullest GPU: which of the formulas holds for its form; and the rule of thumb: what the
handbook would say, shown beside every detailed plan. Floor 5, pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from generator.architecture.shape import ModelArchitecture
from generator.decide.context import Context, needs
from generator.decide.job_weights import Made
from generator.decide.names import spec_names
from generator.decide.speculative import speculation_for, with_draft
from generator.facts.engine import Engine
from generator.facts.model import Checkpoint
from generator.plan import KvCache
from generator.quantity import GB, version_key
from generator.rulebook.book import RuleBook
from generator.rulebook.memo import remembered
from generator.sizing.footprint import Footprint, Layout
from generator.sizing.gguf import GgufSizes, fullest, gguf_sizes, places, stored_sizes
from generator.sizing.weights import checkpoint_bytes, weight_bytes, weight_parts
from generator.spec.deployment import is_path

if TYPE_CHECKING:  # every start would pay for building the types
    from generator.rulebook.sections import Method

_PADS_LIKE_BLACKWELL = 10.0
_UNKNOWN = 9.0
"""Compute capability of a GPU that has none: the one most logs are of."""


def weights_on_gpu(context: Context, method: str, layout: Layout, checkpoint: Checkpoint | None = None, made: Made | None = None) -> int:
    """Bytes of the weights; where a file's header gave its exact size, the formula only says how they are shared out. A published
    `checkpoint` has its own group size and keeps what its maker left wide; weights that a job makes are what it says of them, matrix by
    matrix. A GGUF whose header is known is what that says, tensor by tensor."""
    architecture, model = context.model.architecture, context.model
    entry = _as_published(context, method, checkpoint)
    if entry["family"] == "gguf":
        sizes, exact = _gguf(context, method, made)
        return fullest(sizes, layout, context.gpu.holds_everything, exact)
    if made is not None:
        return weight_bytes(made.architecture, {}, layout, capability=_capability(context))
    own = method == model.own_method or (model.own_method is None and entry["family"] == "float")
    exact = architecture.tensor_bytes if own else checkpoint.size if checkpoint is not None and checkpoint.exact else 0
    size = weight_bytes(architecture, entry, layout, capability=_capability(context))
    return int(size * exact / checkpoint_bytes(architecture, entry, "published")) if exact else size


@remembered
def served(context: Context, engine: Engine) -> Context:
    """The context as the engine loads the model: without its tower where the spec wants no images and this version leaves it out. Lookup
    tables count on the GPU unless this version keeps them in the host's memory, and that is not the GPU's own.
    Where each GPU encodes images of its own it has the whole tower."""
    since = (engine.facts.get("tables_in_host") or {}).get(context.gpu.vendor)
    tables = tuple(m for m in context.model.architecture.matrices if m.role == "lookup")
    if tables and since and version_key(engine.version) >= version_key(since) and not context.gpu.unified:
        rest = tuple(m for m in context.model.architecture.matrices if m.role != "lookup")
        context = _with(context, replace(context.model.architecture, matrices=rest, in_host=tables))
    context = drafting(context, engine)
    if context.task != "generate":
        context = _with(context, _without_output(context.model.architecture))
    architecture = context.model.architecture
    if needs(context, engine, {**spec_names(context)[0], "tensor_parallel": 2}).get("encoder_parallel") == "data":
        whole = tuple(replace(m, shard="replicated") if m.role == "vision" else m for m in architecture.matrices)
        return _with(context, replace(architecture, matrices=whole, encoder=architecture.encoder and architecture.encoder._replace(whole=True)))
    if context.spec.serve.get("images") != 0 or not architecture.multimodal or _frees(engine) != "memory":
        return context
    kept = tuple(m for m in architecture.matrices if m.role != "vision")
    exact = max(0, architecture.tensor_bytes - _tower_bytes(architecture))
    return _with(context, replace(architecture, matrices=kept, multimodal=False, tensor_bytes=exact))


def drafting(context: Context, engine: Engine) -> Context:
    """The context with the caches of what drafts for the model."""
    found = speculation_for(context, engine)
    return context if found is None else _with(context, with_draft(context.model.architecture, found, "gguf" not in engine.facts["formats"]))


def _without_output(architecture: ModelArchitecture) -> ModelArchitecture:
    """The architecture without the output head and the sampler, which engines drop where nothing is generated (source `vllm-pooling`)."""
    head = sum(m.parameters for m in architecture.matrices if m.role == "lm_head")
    exact = architecture.tensor_bytes - 2 * head
    return replace(
        architecture, matrices=tuple(m for m in architecture.matrices if m.role != "lm_head"), vocab_size=0, tensor_bytes=max(0, exact)
    )


def tables_in_host(context: Context, engine: Engine, method: str, checkpoint: Checkpoint | None) -> int:
    """Bytes of the lookup tables that one copy of the model keeps in the host's memory."""
    architecture = served(context, engine).model.architecture
    if not architecture.in_host:
        return 0
    return checkpoint_bytes(replace(architecture, matrices=()), _as_published(context, method, checkpoint))


def _with(context: Context, architecture: ModelArchitecture) -> Context:
    return replace(context, model=replace(context.model, architecture=architecture), memo={})


def projector_bytes(context: Context, engine: Engine, checkpoint: Checkpoint | None) -> int:
    """Bytes of the vision projector, a file of its own in 16 bits, that an engine loads on the GPU beside a GGUF from a hub; 0 without one."""
    if not engine.facts.get("loads_projector") or checkpoint is None or is_path(checkpoint.id):
        return 0
    frees = _frees(engine) if context.spec.serve.get("images") == 0 else None
    shared = context.gpu.unified or context.gpu.holds_everything
    if frees == "memory" or (frees == "gpu" and not shared):
        return 0
    if checkpoint.exact:
        return checkpoint.projector[1] if checkpoint.projector else 0
    return _tower_bytes(context.model.architecture)


def _frees(engine: Engine) -> str | None:
    return (engine.spelling("text_only") or {}).get("frees")


def _tower_bytes(architecture: ModelArchitecture) -> int:
    return sum(2 * m.parameters for m in architecture.matrices if m.role == "vision")


def gguf_of(context: Context, method: str, made: Made | None = None) -> GgufSizes:
    """Bytes of a GGUF by place: of the file that a job makes, as a header says, else of the method applied to the model, scaled to a known size."""
    sizes, exact = _gguf(context, method, made)
    return sizes.scaled(exact)


def _gguf(context: Context, method: str, made: Made | None) -> tuple[GgufSizes, int]:
    """The same as the formula has it, and the bytes that the file is known to have (0: not known, or told by its header tensor by tensor)."""
    types, model = context.book.section("ggml_types"), context.model
    if made is not None:
        return gguf_sizes(made.architecture, made.method, types), 0
    found = model.checkpoints.get(method)
    tensors, exact = (found.tensors, found.size) if found else ((), 0)
    if method == model.own_method:
        tensors, exact = model.architecture.stored, model.architecture.tensor_bytes
    if tensors:
        return stored_sizes(model.architecture.layers, tensors), 0
    return gguf_sizes(model.architecture, context.book.section("methods")[method], types), exact


def parts_on_gpu(
    context: Context, method: str, layout: Layout, total: int, checkpoint: Checkpoint | None = None, made: Made | None = None
) -> dict[str, float]:
    """The same bytes, `total` of them, by the role of the matrices; of a GGUF by place in the model."""
    entry = _as_published(context, method, checkpoint)
    if entry["family"] == "gguf":
        found = places(gguf_of(context, method, made), layout.pipeline_parallel, cpu=context.gpu.holds_everything)
    elif made is not None:
        found = dict(weight_parts(made.architecture, {}, layout, capability=_capability(context)))
    else:
        found = dict(weight_parts(context.model.architecture, entry, layout, capability=_capability(context)))
    scale = total / (sum(found.values()) or 1)
    return {role: size * scale for role, size in found.items() if size}


def _capability(context: Context) -> float:
    """Whose padding of MXFP4 experts holds: AMD's kernels pad as those of compute capability 10 do."""
    return _PADS_LIKE_BLACKWELL if context.gpu.vendor == "amd" else context.gpu.compute_capability or _UNKNOWN


def _as_published(context: Context, method: str, checkpoint: Checkpoint | None) -> Method:
    """The method as the makers of a checkpoint applied it: the entry of `methods`, or one made of it and remembered with the rules."""
    entry = context.book.section("methods")[method]
    if checkpoint is None or checkpoint.origin != "published" or entry["family"] in ("float", "gguf"):
        return entry
    group, wide = checkpoint.group_size or entry.get("group_size"), tuple(checkpoint.ignore or ())
    if group == entry.get("group_size") and not wide and not checkpoint.in_fp8:
        return entry
    return _published_with(context.book, method, group, wide, checkpoint.in_fp8)


@remembered
def _published_with(book: RuleBook, method: str, group: int | None, wide: tuple[str, ...], in_fp8: tuple[str, ...]) -> Method:
    entry = book.section("methods")[method]
    return {**entry, "group_size": group, "keeps_16bit": [*entry.get("keeps_16bit", ()), *wide], "in_fp8": [*in_fp8]}


HALF_BITS = 16
SINGLE_BITS = 32


def fp16_gb(context: Context) -> float | None:
    """Decimal GB of the model in 16 bits; None for a model of unknown size."""
    model = context.model
    if model.basis == "fallback":
        return None
    return model.fp16_gb if model.fp16_gb is not None else model.billion * 2


@remembered
def thumb(context: Context, method: str) -> dict[str, float | None]:
    """The figures of the handbook for a method: memory = FP16 GB × bits / 16 × (1 + overhead), tokens/s = the GPU's base × the method's
    multiplier, ratio = bits / 32 (source `handbook`)."""
    entry, book = context.book.section("methods")[method], context.book
    bits = float(entry["weight_bits"])
    size = fp16_gb(context)
    gpu = context.book.section("gpus").get(context.gpu.name) or {}
    if not gpu.get("handbook") and (fallback := book.fallback("gpu")):
        gpu = book.section("gpus")[fallback]
    base = (gpu.get("handbook") or {}).get("tokens_per_second")
    speed = (entry.get("handbook") or {}).get("speed")
    overhead = book.number("thumb.overhead")
    return {
        "memory_gb": None if size is None else round(size * bits / HALF_BITS * (1 + overhead), 2),
        "tokens_per_second": None if base is None or speed is None else round(base * speed, 1),
        "memory_ratio": bits / SINGLE_BITS,
    }


def thumb_footprint(context: Context, method: str) -> tuple[Footprint, KvCache]:
    """The same as a footprint, for a rule set that sizes by the rule of thumb: all overhead counts as run-time."""
    size = fp16_gb(context) or 0.0
    bits = float(context.book.section("methods")[method]["weight_bits"])
    weights = int(size * GB * bits / HALF_BITS)
    overhead = int(weights * context.book.number("thumb.overhead"))
    gpu = context.book.section("gpus").get(context.gpu.name) or {}
    if not context.gpu.listed and (fallback := context.book.fallback("gpu")):
        gpu = context.book.section("gpus")[fallback]
    gb = (gpu.get("handbook") or {}).get("memory_gb") or context.gpu.memory_gb
    capacity = int(gb * GB)
    return Footprint(weights, 0, 0, 0, 0, overhead, capacity, capacity), KvCache(0, 0, 0.0)

"""The terms of the choice's memory: the law of the engine, run once more on figures that remember how they were made. Floor 5, pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from generator.decide.consider import weights_of
from generator.decide.context import Context, kv_bits_of, numbers_of
from generator.decide.offload import of_layers
from generator.decide.weigh import gguf_of, parts_on_gpu, projector_bytes, served
from generator.engines import ENGINES, cache_cost
from generator.facts.engine import resolve_engine
from generator.plan import Candidate
from generator.sizing.cache import CacheCost, Kept
from generator.sizing.footprint import Fixed, Layout, Load
from generator.sizing.gguf import placed
from generator.sizing.term import MemoryTerm, Term, leaf, part, watched

if TYPE_CHECKING:  # every start would pay for building the types
    from generator.decide.job_weights import Made
    from generator.decide.vocabulary import Names

TERMS = ("weights", "kv_cache", "activations", "cuda_graphs", "runtime", "draft", "adapters")


def terms_of(context: Context, candidate: Candidate, facts: Names, made: Made | None) -> tuple[MemoryTerm, ...]:
    """Each term of a sized candidate as a tree, in the order of the memory bar; none where the rule of thumb sized it."""
    memory, book = candidate.memory, context.book
    if memory is None or candidate.kv_cache is None or book.sizing != "detailed":
        return ()
    terms = {name: term for name, term in _terms(context, candidate, facts, made).items() if getattr(memory, name) or name == "weights"}
    sources = ENGINES[candidate.engine].sources
    cpu = context.gpu.vendor == "cpu"
    found = []
    for name in TERMS:
        if name in terms:
            own = sources.get(f"{name} on a CPU" if cpu else name) or sources.get(name) or (WEIGHTS if name == "weights" else None)
            found.append(terms[name].shown(name, own))
    return tuple(found)


def host_of(context: Context, candidate: Candidate, made: Made | None) -> MemoryTerm | None:
    """What of a model on GPUs lies in the host's memory, as a tree; None where nothing does but what is read by rows."""
    layers, experts = candidate.gpu_layers, candidate.cpu_experts or 0
    if candidate.memory is None or layers is None or candidate.kv_cache is None or context.gpu.vendor == "cpu" or context.book.sizing != "detailed":
        return None
    sizes = gguf_of(context, candidate.method, made)
    parts, count = placed(sizes, layers, experts), len(sizes.layers)
    if not parts.host:
        return None
    cells = _cost(context, candidate, Layout()).bytes_for(candidate.max_model_len, candidate.max_num_seqs)
    whole = parts.host_dense + sum(sizes.experts[: count + 1 - layers])
    lying = {
        "experts": parts.host - whole, "whole_layers": whole, "their_cache": cells - of_layers(cells, layers, count, 1) if layers <= count else 0,
        "input_embedding": sizes.embedding,
    }  # fmt: skip
    total = sum(leaf(name, size) for name, size in lying.items() if size)
    return cast(Term, total).shown("host_memory", "lcpp-quant-src")


def _cost(context: Context, candidate: Candidate, layout: Layout) -> CacheCost:
    return cache_cost(
        context.model.architecture, layout, kv_bits_of(context.book, candidate.kv_cache_dtype), candidate.engine,
        batched_tokens=candidate.max_num_batched_tokens, sequences=candidate.max_num_seqs,
    )  # fmt: skip


WEIGHTS = "pytorch-caching-allocator"
"""How PyTorch rounds the tensors of a checkpoint."""


def _terms(context: Context, candidate: Candidate, facts: Names, made: Made | None) -> dict[str, Term]:
    memory, engine = candidate.memory, candidate.engine
    assert memory is not None
    engine_facts = resolve_engine(engine, candidate.engine_version, context.book)
    context = served(context, engine_facts)
    law, numbers = ENGINES[engine].memory, _sourced(context, candidate)
    shape = Layout(candidate.tensor_parallel, candidate.pipeline_parallel, candidate.expert_parallel, candidate.replicas, candidate.data_parallel)
    kv_bits = kv_bits_of(context.book, candidate.kv_cache_dtype)
    plain = Load(candidate.max_model_len, candidate.max_num_seqs, candidate.max_num_batched_tokens, kv_bits, bool(facts.get("enforce_eager")))
    architecture = watched(context.model.architecture)
    layout = watched(shape)
    load = watched(plain, {"batched_tokens": "max_num_batched_tokens"})
    device = watched(context.gpu.device)
    more = {name: leaf(name, size) for name in TERMS[5:] if (size := getattr(memory, name))}
    weights = leaf("weights", memory.weights)
    for size in more.values():
        weights += size
    checkpoint = None if made is not None else weights_of(context, engine_facts, candidate.method)[0]
    projector = 0 if context.gpu.sizes else projector_bytes(context, engine_facts, checkpoint)  # of unequal cards the fullest may be without it
    parts = parts_on_gpu(context, candidate.method, shape, memory.weights - projector, checkpoint, made)
    fixed = law.fixed(architecture, layout, load, device, weights, numbers)
    whole = facts.get("method.family") == "gguf"
    layers = candidate.gpu_layers if whole and (facts.get("layers.spilled") or facts.get("layers.split")) else None
    if layers is not None:
        sizes = gguf_of(context, candidate.method, made)
        lying = placed(sizes, layers, candidate.cpu_experts or 0)
        on_gpus = {"layers": lying.gpu_dense - sizes.output, "experts": lying.gpu_experts, "output": sizes.output}
        parts = {name: size * (memory.weights - projector) / (lying.gpu_dense + lying.gpu_experts) for name, size in on_gpus.items() if size}
        staged = leaf("largest_tensor", sizes.largest)
        fixed = Fixed(fixed.activations + staged, 0, fixed.runtime)
    if projector:
        parts["projector"] = projector
    if whole:
        on_gpu = None if layers is None else _cached_layers(context, candidate, facts, layers)
        cache = _watched(_cost(context, candidate, shape if on_gpu is None else Layout())).bytes_for(load.max_model_len, load.max_num_seqs)
        if on_gpu is not None:
            cache = of_layers(part("cells", cache), on_gpu[0], architecture.layers, on_gpu[1])
    else:
        fraction = leaf("gpu_memory_utilization", candidate.gpu_memory_utilization or 0.0)
        told = [leaf(name, size) if size else 0 for name, size in zip(TERMS[2:5], fixed[:3], strict=True)]
        beside = Fixed(told[0], told[1], told[2], fixed.loaded)
        cache = part("budget", law.budget(device, weights, beside, fraction, numbers)) - weights - beside.total
    named: dict[str, float] = dict(zip(TERMS[:5], (sum(leaf(role, size) for role, size in parts.items()), cache, *fixed[:3]), strict=True))
    return {name: cast(Term, term if isinstance(term, Term) else leaf(name, term)) for name, term in {**named, **more}.items()}


def _cached_layers(context: Context, candidate: Candidate, facts: Names, layers: int) -> tuple[int, int] | None:
    """Layers whose cache is on a GPU, one too many as `of_layers` counts, over so many GPUs; None where every layer's is, evenly spread."""
    memory, count = candidate.memory, context.model.architecture.layers
    if facts.get("layers.split") is None or memory is None:
        return (leaf("gpu_layers", layers), leaf("pipeline_parallel", candidate.pipeline_parallel)) if layers <= count else None
    cells = _cost(context, candidate, Layout()).bytes_for(candidate.max_model_len, candidate.max_num_seqs)
    here = memory.kv_needed * count // cells
    return leaf("layers_here", here) + 1, 1


def _sourced(context: Context, candidate: Candidate) -> Callable[[str], float]:
    """Thresholds as terms: the symbol is the threshold's name without its engine's, the source is that of the version."""
    book, version = context.book, candidate.engine_version
    older = resolve_engine(candidate.engine, version, book).older_numbers(context.gpu.device, context.model.architecture)
    numbers, versions = numbers_of(book, version, older), dict(older)
    return lambda name: leaf(name.partition(".")[2], numbers(name), book.threshold(name, versions.get(name, version)).get("source"))


def _watched(cost: CacheCost) -> CacheCost:
    """A cache whose layers and bytes are terms."""

    def kept(name: str, found: tuple[Kept, ...]) -> tuple[Kept, ...]:
        ends = [""] if len(found) == 1 else [f"_{number}" for number in range(1, len(found) + 1)]
        counts = [leaf(f"{name}_layers{end}", one.layers) for one, end in zip(found, ends, strict=True)]
        sizes = [leaf(f"{name}_bytes_per_token{end}", one.per_token) for one, end in zip(found, ends, strict=True)]
        return tuple(Kept(count, size, one.window) for count, size, one in zip(counts, sizes, found, strict=True))

    states = leaf("state_layers", cost.state_layers) if cost.state_layers else 0
    return cost._replace(full=kept("full", cost.full), sliding=kept("sliding", cost.sliding), state_layers=states)

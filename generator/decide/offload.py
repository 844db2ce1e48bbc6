"""Partial offload: which layers and experts of a GGUF model a GPU holds, the rest in the host's memory. Floor 5, pure. For engines on
llama.cpp only, where the whole model does not fit and the spec says how much memory the host has, or where the spec pins `cpu_experts`.
Experts leave the GPU before whole layers: a token reads all of a layer, but few of its experts, so of the bytes that must go theirs cost it
least. They go from the first layer on, as `--n-cpu-moe N` takes them; of whole layers the output, which counts as one, comes to the GPU
first, then the last layers, as `-ngl N` does."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from math import ceil
from operator import add
from typing import TYPE_CHECKING, NamedTuple, cast

from generator.decide.consider import Pair
from generator.decide.context import Context
from generator.decide.fit import Fitted, trials, wish_of
from generator.decide.weigh import gguf_of, projector_bytes
from generator.engines import ENGINES, cache_cost
from generator.facts.engine import Engine
from generator.plan import Candidate, KvCache
from generator.quantity import GIB, ceil_div
from generator.sizing.cache import CacheCost
from generator.sizing.footprint import Fixed, Footprint, Layout, Load, Numbers, headroom
from generator.sizing.gguf import GgufSizes, Placed, balanced, on_devices, placed
from generator.throughput.shapes import InHost, ModelShape, model_shape

if TYPE_CHECKING:  # every start would pay for building the types
    from generator.rulebook.sections import Method

FOUR_BITS = cast("Method", {"family": "gguf", "weight_bits": 4})
"""What bytes in host memory are counted in, whatever the method."""


class Placement(NamedTuple):
    """Where a model lies under one load: layers on the GPUs, layers whose experts the host holds, the memory of the fullest GPU."""

    gpu_layers: int
    cpu_experts: int
    footprint: Footprint
    kv_cache: KvCache
    host: int
    """bytes in the host's memory"""
    per_token: float
    """bytes of it that a token reads"""
    split: tuple[int, ...] = ()
    """layers of each GPU, the output counted as one, where they are not spread evenly"""


def partly_offloaded(
    context: Context, pair: Pair, layout: Layout, base: Mapping[str, object], kv_bits: float, numbers: Numbers, beside: int = 0
) -> Fitted | None:
    """The settings nearest to what is asked for that cost few bytes of the host; None where that is no way to run the model. `beside` are
    bytes that the first GPU holds besides."""
    memory, pinned = context.spec.hardware.host_memory_gib, context.pinned("cpu_experts")
    spread, gpu = bool(context.gpu.sizes), context.gpu
    if (memory is None and not pinned and not spread) or gpu.vendor in ("cpu", "apple") or gpu.unified:
        return None
    if layout.replicas > 1 or not pair.engine.has("gpu_layers"):
        return None
    beside += projector_bytes(context, pair.engine, pair.checkpoint)
    room = _Room(context, pair.engine, layout, gguf_of(context, pair.method, pair.made), numbers, beside)
    wish = wish_of(context, pair.engine, layout, base, numbers)
    loads = [Load(length, sequences, batched, kv_bits) for length, sequences, batched in trials(wish)]
    load, one = loads[-1], room.placed(loads[-1])
    fits = one is not None and room.has(one, memory)
    if one is not None and fits:  # a smaller load never reads more of the host
        most = one.per_token + numbers("llama_cpp.layers_for_context") * room.read

        def near(load: Load) -> bool:
            tried = room.placed(load)
            return tried is not None and room.has(tried, memory) and tried.per_token <= most

        load = loads[bisect_left(loads, True, 0, len(loads) - 1, key=near)]
        one = room.placed(load)
    elif pinned or spread:  # as pinned, though it does not fit: the refusal says what it needs
        one = room.at(load, room.every, min(pinned or 0, room.layers))
    if one is None or not (fits or pinned or spread):
        return None
    return Fitted(
        load, 1.0, one.footprint, one.kv_cache, load.max_model_len < wish.context,
        load.max_num_seqs < wish.sequences and context.workload.concurrency is not None, fits=fits, asked=wish,
        gpu_layers=one.gpu_layers, cpu_experts=one.cpu_experts, host_read=one.per_token, split=one.split, held=load.max_num_seqs,
    )  # fmt: skip


def of_layers(cells: int, layers: int, count: int, stages: int) -> int:
    """Bytes of the cache of the layers on one GPU, of so many (`count`): the output layer is one of `layers` and has none."""
    return ceil_div(cells * (layers - 1), count * stages)


def read_of(parts: Placed, routed: float) -> tuple[float, float]:
    """Bytes that a token reads on the GPUs and in the host's memory, `routed` being the share of the experts that it meets."""
    return parts.gpu_dense + parts.gpu_experts * routed, parts.host_dense + parts.host_experts * routed


def placement_of(engine: Engine, context: Context, fitted: Fitted) -> dict[str, int | None]:
    """What a candidate says of its placement: nothing where the engine has no word for it."""
    layers = (0 if context.gpu.vendor == "cpu" else context.model.architecture.layers + 1) if fitted.gpu_layers is None else fitted.gpu_layers
    experts = fitted.cpu_experts if context.model.architecture.experts and engine.has("cpu_moe") else None
    return {"gpu_layers": layers if engine.has("gpu_layers") else None, "cpu_experts": experts}


def read_where(context: Context, candidate: Candidate, model: ModelShape, on_gpus: float) -> tuple[ModelShape, InHost]:
    """The bytes that a token reads of a GGUF, as its file has them, and what of them lies in the host's memory."""
    if context.book.section("methods")[candidate.method]["family"] != "gguf":
        return model.weighing(on_gpus), InHost()
    sizes = gguf_of(context, candidate.method)
    count = len(sizes.layers)
    layers, experts = candidate.gpu_layers or count + 1, candidate.cpu_experts or 0
    parts = placed(sizes, layers, experts)
    dense, routed = parts.gpu_dense + parts.host_dense, parts.gpu_experts + parts.host_experts
    model = model._replace(dense_bytes=float(dense), expert_bytes=float(routed))
    if not parts.host:
        return model, InHost()
    return model, InHost(parts.host_dense / dense, parts.host_experts / routed if routed else 0.0, (count + 1 - layers) / count)


def host_tenths(context: Context, read: float) -> int:
    """Bytes that a token reads of the host's memory, in tenths of its active parameters in four bits, whatever the method: so the
    methods of one model compare."""
    if not read:
        return 0
    full = model_shape(context.model.architecture, FOUR_BITS)
    return ceil(10.0 * read / (full.dense_bytes + full.expert_bytes * full.routed_share))


class _Held(NamedTuple):
    """Bytes of weights and cache on the fullest GPU, of the cache of one token, and how the layers are split if not evenly. `card` is that
    GPU's place among unequal ones."""

    weights: int
    cache: int
    per_token: int
    split: tuple[int, ...] = ()
    card: int = 0


def _evened(sizes: GgufSizes, layers: int, experts: int, cost: CacheCost, load: Load, rooms: Sequence[float], first: int = 0) -> _Held:
    """The fullest GPU with the layers split so that it holds least of its room; with fewer than all layers it is the last ones. `first` are
    bytes of the weights that lie on the first GPU whatever the split."""
    rooms = [max(1.0, rooms[0] - first), *rooms[1:]]
    count, cells = len(sizes.layers), cost.bytes_for(load.max_model_len, load.max_num_seqs)
    weights = (*sizes.without(experts)[max(0, count - layers + 1) :], sizes.output)
    caches = (*[cells / count] * (len(weights) - 1), 0.0)
    split, start, found = balanced(list(map(add, weights, caches)), [room / max(rooms) for room in rooms]), 0, []
    for card, many in enumerate(split):
        here, cached = sum(weights[start : start + many]), sum(map(bool, caches[start : start + many]))
        found.append(((here + cells * cached / count) / rooms[card], here + (first if card == 0 else 0), cached, card))
        start += many
    _, here, cached, card = max(found)
    return _Held(here, of_layers(cells, cached + 1, count, 1), ceil_div(cost.bytes_per_token * cached, count), split, card)


class _Room:
    """Places one candidate's weights under each load: all but the load is fixed."""

    def __init__(self, context: Context, engine: Engine, layout: Layout, sizes: GgufSizes, numbers: Numbers, projector: int) -> None:
        self.context, self.engine, self.layout, self.sizes, self.numbers, self.projector = context, engine.name, layout, sizes, numbers, projector
        architecture = context.model.architecture
        self.layers, self.every = len(sizes.layers), len(sizes.layers) + 1
        self.routed = architecture.experts_per_token / architecture.experts if architecture.experts else 1.0
        self.read = sum(read_of(placed(sizes, self.every), self.routed))
        movable = any(sizes.experts) and engine.has("cpu_moe")
        pinned = context.pinned("cpu_experts")
        self.most_experts = self.layers if movable else 0
        self.least = 0
        if pinned is not None and movable:
            self.least = self.most_experts = min(int(pinned), self.layers)
        self.margin = numbers("llama_cpp.host_margin_gib") + numbers("llama_cpp.host_gib")
        self.floor = numbers("headroom.floor")
        self.splits = layout.pipeline_parallel > 1 and engine.has("tensor_split")
        self.devices = context.gpu.devices
        self._known: dict[tuple[Load, bool], tuple[Fixed, tuple[int, ...], CacheCost]] = {}

    def has(self, one: Placement, memory_gib: float | None) -> bool:
        """Whether the host's memory is enough; where it is not known, for what the spec pins alone."""
        if memory_gib is None:
            return one.gpu_layers == self.every and one.cpu_experts <= self.least
        return one.host <= int((memory_gib - self.margin) * GIB)

    def placed(self, load: Load) -> Placement | None:
        """The placement that reads least of the host for a token; None where not even one layer fits."""

        def fits(layers: int, experts: int) -> bool:
            fixed, budgets, _ = self._beside(load, layers == self.every)
            held = self._held(load, layers, experts)
            return headroom(budgets[held.card], held.weights + held.cache + fixed.total) >= self.floor

        every, most = self.every, self.most_experts
        if fits(every, most):
            return self.at(load, every, bisect_left(range(most), True, self.least, key=lambda experts: fits(every, experts)))
        # a layer more never takes less of the GPU
        layers = bisect_left(range(every), True, 1, key=lambda layers: not fits(layers, most)) - 1
        return self.at(load, layers, most) if layers >= 1 else None

    def at(self, load: Load, layers: int, experts: int) -> Placement:
        """The memory with so many layers on the GPUs and the experts of so many layers off them."""
        fixed, budgets, _ = self._beside(load, layers == self.every)
        weights, here, per_token, split, card = self._held(load, layers, experts)
        capacity = self.devices[card].capacity
        footprint = Footprint(weights, here, here, fixed.activations, 0, fixed.runtime, budgets[card], capacity)
        parts = placed(self.sizes, layers, experts)
        host = parts.host + self.sizes.embedding
        if layers < self.every:  # the other layers' cache
            cells = self._beside(load, False)[2].bytes_for(load.max_model_len, load.max_num_seqs)
            host += cells - of_layers(cells, layers, self.layers, 1)
        held, slots = load.max_model_len * load.max_num_seqs, float(load.max_num_seqs)
        cache = KvCache(per_token, held, slots, slots)
        return Placement(layers, experts, footprint, cache, host, read_of(parts, self.routed)[1], split)

    def _held(self, load: Load, layers: int, experts: int) -> _Held:
        held = self._of_layers(load, layers, experts)
        return held if len(self.devices) > 1 else held._replace(weights=held.weights + self.projector)

    def _of_layers(self, load: Load, layers: int, experts: int) -> _Held:
        stages, complete = self.layout.pipeline_parallel, layers == self.every
        fixed, budgets, cost = self._beside(load, complete)
        if len(budgets) > 1:
            rooms = [max(1.0, float(budget - fixed.total)) for budget in budgets]
            return _evened(self.sizes, layers, experts, self._beside(load, False)[2], load, rooms, self.projector)
        if complete and experts and self.splits:  # else the first GPU alone would be relieved
            return _evened(self.sizes, layers, experts, self._beside(load, False)[2], load, [1.0] * stages)._replace(card=0)
        weights, cells = on_devices(self.sizes, layers, stages, experts), cost.bytes_for(load.max_model_len, load.max_num_seqs)
        if complete:
            return _Held(weights, cells, cost.bytes_per_token)
        per_token = ceil_div(cost.bytes_per_token * (layers - 1), self.layers * stages)
        return _Held(weights, of_layers(cells, layers, self.layers, stages), per_token)

    def _beside(self, load: Load, complete: bool) -> tuple[Fixed, tuple[int, ...], CacheCost]:
        """What a load needs beside the weights, the budget of each unequal card (else one), and its cache: of one GPU where all layers are
        on them, else of all layers."""
        key = (load, complete)
        if key not in self._known:
            architecture, device, layout, numbers = self.context.model.architecture, self.context.gpu.device, self.layout, self.numbers
            law = ENGINES[self.engine].memory
            fixed = law.fixed(architecture, layout, load, device, 0, numbers)
            fixed = Fixed(fixed.activations + self.sizes.largest, 0, fixed.runtime)  # a tensor of the host on its way through
            pinned = self.context.pinned("gpu_memory_utilization")
            budgets = tuple(int(one.capacity * pinned) if pinned else law.budget(one, 0, fixed, 1.0, numbers) for one in self.devices)
            cost = cache_cost(
                architecture, layout if complete else Layout(), load.kv_bits, self.engine,
                batched_tokens=load.batched_tokens, sequences=load.max_num_seqs, numbers=numbers,
            )  # fmt: skip
            self._known[key] = fixed, budgets, cost
        return self._known[key]

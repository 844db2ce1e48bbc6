"""Partial offload: how many layers of a GGUF model a GPU holds, the rest in the host's memory.

Floor 5, pure. For engines on llama.cpp only, and only where the whole model does not fit and the spec says how much memory
the host has. The output layer counts as a layer and goes to the GPU first, then the last layers, as `-ngl N` does.
"""

from __future__ import annotations

from collections.abc import Mapping

from generator.decide.context import Context, Numbers
from generator.decide.fit import Fitted, trials, wish_of
from generator.engines import ENGINES, cache_cost
from generator.facts.engine import Engine
from generator.plan import KvCache
from generator.quantity import GIB, ceil_div
from generator.sizing.footprint import Fixed, Footprint, Layout, Load
from generator.sizing.footprint import Numbers as AnyNumbers
from generator.sizing.gguf import GgufSizes, gguf_sizes, on_devices
from generator.sizing.term import whole


def partly_offloaded(
    context: Context, engine: Engine, layout: Layout, method: str, base: Mapping[str, object], kv_bits: float, numbers: Numbers
) -> Fitted | None:
    """The settings nearest to what is asked for that cost few layers; None where that is no way to run the model."""
    host, gpu = context.spec.hardware.host_memory_gib, context.gpu
    if host is None or gpu.vendor in ("cpu", "apple") or gpu.unified or not engine.has("gpu_layers") or layout.replicas > 1:
        return None
    entry, architecture = context.book.section("methods")[method], context.model.architecture
    sizes = gguf_sizes(architecture, entry, context.book.section("ggml_types"))
    room = int((host - numbers("llama_cpp.host_margin_gib") - numbers("llama_cpp.host_gib")) * GIB)
    wish = wish_of(context, engine.name, layout, base, numbers)
    found: list[Fitted] = []
    for length, sequences, batched in trials(wish):
        load = Load(length, sequences, batched, kv_bits)
        most = _most(context, engine.name, layout, load, sizes, room, numbers)
        if most is not None:
            layers, footprint, cache = most
            found.append(
                Fitted(
                    load, 1.0, footprint, cache, length < wish.context,
                    sequences < wish.sequences and context.workload.concurrency is not None, fits=True, asked=wish, gpu_layers=layers, held=sequences,
                )
            )  # fmt: skip
    best = max((one.gpu_layers or 0 for one in found), default=0)
    least = best - numbers("llama_cpp.layers_for_context") * len(sizes.layers)
    return next((one for one in found if (one.gpu_layers or 0) >= least), None)


def of_layers(cells: int, layers: int, count: int, stages: int) -> int:
    """Bytes of the cache of the layers on one GPU, of so many (`count`): the output layer is one of `layers` and has none."""
    return ceil_div(cells * (layers - 1), count * stages)


def staged(sizes: GgufSizes, numbers: AnyNumbers) -> int:
    """Bytes of a layer of the host on its way through the GPU."""
    return whole(numbers("llama_cpp.staged_layer_share") * max(sizes.layers))


def _most(
    context: Context, engine: str, layout: Layout, load: Load, sizes: GgufSizes, room: int, numbers: Numbers
) -> tuple[int, Footprint, KvCache] | None:
    """The most layers for one load, by bisection: a layer more never takes less of the GPU."""
    architecture, device = context.model.architecture, context.gpu.device
    whole = Layout()
    cost = cache_cost(architecture, whole, load.kv_bits, engine, batched_tokens=load.batched_tokens, sequences=load.max_num_seqs)
    cells = cost.bytes_for(load.max_model_len, load.max_num_seqs)
    fixed = ENGINES[engine].memory.fixed(architecture, layout, load, device, 0, numbers)
    fixed = Fixed(fixed.activations + staged(sizes, numbers), 0, fixed.runtime)
    pinned = context.pinned("gpu_memory_utilization")
    budget = int(device.capacity * pinned) if pinned else ENGINES[engine].memory.budget(device, 0, fixed, 1.0, numbers)
    floor, count = numbers("headroom.floor"), len(sizes.layers)

    def footprint(layers: int) -> Footprint:
        weights = on_devices(sizes, layers, layout.pipeline_parallel)
        cache = of_layers(cells, layers, count, layout.pipeline_parallel)
        return Footprint(weights, cache, cache, fixed.activations, 0, fixed.runtime, budget, device.capacity)

    low, high = 0, count + 1  # all layers and the output would be count + 1, which did not fit
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if footprint(middle).headroom >= floor else (low, middle)
    if low < 1:
        return None
    here = footprint(low)
    rest = sizes.embedding + sum(sizes.layers[: count - (low - 1)]) + cells - of_layers(cells, low, count, 1)
    if rest > room:
        return None
    held, slots = load.max_model_len * load.max_num_seqs, float(load.max_num_seqs)
    return low, here, KvCache(ceil_div(cost.bytes_per_token * (low - 1), count * layout.pipeline_parallel), held, slots, slots)

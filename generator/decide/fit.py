"""Fit: the largest context, number of sequences and batch that one GPU's memory holds for the workload.

Floor 5, pure. What the user wrote or pinned is never lowered; what came from the profile is, in this order: tokens per
step, sequences, context. Each trial asks the engine's own memory law.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from generator.decide.context import Context, Numbers
from generator.engines import ENGINES, cache_cost
from generator.plan import KvCache
from generator.quantity import ceil_div
from generator.sizing.cache import CacheCost
from generator.sizing.footprint import Fixed, Footprint, Layout, Load, headroom


class Wish(NamedTuple):
    """What is asked for, and how far each part may be lowered (least = asked: not at all)."""

    context: int
    least_context: int
    sequences: int
    least_sequences: int
    batched: int
    least_batched: int


class Fitted(NamedTuple):
    """The settings that fit (or the least that was tried), with the memory they take, in bytes of the fullest GPU.

    `gpu_layers` is only set where some layers, or the experts of the first `cpu_experts`, stay in the host's memory, of which a token
    then reads `host_read` bytes; `split` are the layers of each GPU where they are not spread evenly.
    `sequences_capped`: more would fit, but not keep the objectives.
    """

    load: Load
    fraction: float
    footprint: Footprint
    kv_cache: KvCache
    context_lowered: bool
    sequences_lowered: bool
    fits: bool
    asked: Wish
    gpu_layers: int | None = None
    sequences_capped: bool = False
    cpu_experts: int = 0
    host_read: float = 0.0
    split: tuple[int, ...] = ()


def fit(
    context: Context,
    engine: str,
    layout: Layout,
    weights: int,
    base: Mapping[str, Any],
    kv_bits: float,
    numbers: Numbers,
    known: dict[Any, Any] | None = None,
) -> Fitted:
    """Fit one candidate; `base` holds what the `fit` rows set, `weights` the bytes on the fullest GPU.

    `known` is one decision's memory of what trials need beside weights: methods share it.
    """
    eager = bool(base.get("enforce_eager", False))
    sizer = _Sizer(context, engine, layout, weights, kv_bits, eager, numbers, {} if known is None else known)
    wish = wish_of(context, engine, layout, base, numbers)
    floor = numbers("headroom.floor")
    last = sizer.size(wish.context, wish.sequences, wish.batched)
    fits = last.headroom >= floor
    if not fits:
        last = sizer.size(wish.least_context, wish.least_sequences, wish.least_batched)
        fits = last.headroom >= floor
        if fits:
            # a trial needs more than each one after it, and the last fits: the first that does is looked up
            tries = list(trials(wish))
            first = bisect_left(tries, True, 1, len(tries) - 1, key=lambda trial: sizer.size(*trial).headroom >= floor)
            last = sizer.size(*tries[first])
    if fits and context.pinned("max_num_seqs") is None:
        tried = last.parts.load
        if tried.max_num_seqs < wish.sequences and (context.workload.concurrency is None or tried.max_model_len == wish.context):
            last = sizer.filled(last, floor, min(wish.sequences, 2 * tried.max_num_seqs))
    load, footprint = last.parts.load, sizer.footprint(last)
    return Fitted(
        load, last.fraction, footprint, sizer.kv_cache(last, footprint),
        context_lowered=load.max_model_len < wish.context,
        sequences_lowered=load.max_num_seqs < wish.sequences and context.workload.concurrency is not None,
        fits=fits,
        asked=wish,
    )  # fmt: skip


def wish_of(context: Context, engine: str, layout: Layout, base: Mapping[str, Any], numbers: Numbers) -> Wish:
    """The context, sequences and batch that the spec and the `fit` rows ask for."""
    workload, given = context.workload, context.workload.given
    length = context.pinned("max_model_len") or workload.max_context
    length_fixed = context.pinned("max_model_len") is not None or "max_context" in given
    least_length = length if length_fixed else min(length, workload.tokens)
    pinned = context.pinned("max_num_seqs")
    if pinned is not None:
        sequences = least = int(pinned)
    elif workload.concurrency is None:
        sequences, least = int(base["sequences_most"]), 1
    else:
        sequences = ceil_div(workload.concurrency, layout.replicas)
        least = sequences if "concurrency" in given else 1
    batched = int(context.pinned("max_num_batched_tokens") or base["max_num_batched_tokens"])
    if context.pinned("max_num_batched_tokens") is not None:
        return Wish(length, least_length, sequences, least, batched, batched)
    least_batched = min(batched, int(base["batched_tokens_least"]))
    if base.get("batch_covers_sequences"):  # the scheduler cannot run more sequences in a step than it has tokens for
        batched, least_batched = max(batched, sequences), max(least_batched, least)
    return Wish(length, least_length, sequences, least, batched, least_batched)


def trials(wish: Wish) -> Iterator[tuple[int, int, int]]:
    """(context, sequences, batch) from what is asked to the least, one part lowered after the other, by halves."""
    length, sequences, batched = wish.context, wish.sequences, wish.batched
    yield length, sequences, batched
    while batched > wish.least_batched:
        batched = max(wish.least_batched, batched // 2)
        yield length, sequences, batched
    while sequences > wish.least_sequences:
        sequences = max(wish.least_sequences, sequences // 2)
        yield length, sequences, batched
    while length > wish.least_context:
        length = max(wish.least_context, length // 2)
        yield length, sequences, batched


class _Parts(NamedTuple):
    """What a trial needs beside the weights."""

    load: Load
    cost: CacheCost
    fixed: Fixed
    kv_needed: int


class _Trial(NamedTuple):
    parts: _Parts
    fraction: float
    budget: int
    headroom: float


class _Sizer:
    """Sizes trials of one candidate: all but the load is fixed."""

    def __init__(
        self,
        context: Context,
        engine: str,
        layout: Layout,
        weights: int,
        kv_bits: float,
        eager: bool,
        numbers: Numbers,
        known: dict[Any, Any],
    ) -> None:
        self.context, self.engine, self.layout, self.weights = context, engine, layout, weights
        self.kv_bits, self.eager, self.numbers, self.known = kv_bits, eager, numbers, known
        self.key = (engine, layout.tensor_parallel, layout.pipeline_parallel, layout.expert_parallel, kv_bits, eager)
        self.whole = "gguf" in context.book.section("engines")[engine]["formats"]
        self.memory = ENGINES[engine].memory
        self.pinned = context.pinned("gpu_memory_utilization")
        self.device = context.gpu.device

    def parts(self, length: int, sequences: int, batched: int) -> _Parts:
        """Everything of a trial that does not depend on the weights, which is everything that costs time."""
        key = (self.key, length, sequences, batched)
        found: _Parts | None = self.known.get(key)
        if found is None:
            architecture, tokens = self.context.model.architecture, self.context.workload.tokens
            load = Load(length, sequences, batched, self.kv_bits, self.eager)
            cost = cache_cost(
                architecture, self.layout, self.kv_bits, self.engine, batched_tokens=batched, sequences=sequences, numbers=self.numbers,
            )  # fmt: skip
            fixed = self.memory.fixed(architecture, self.layout, load, self.device, self.weights, self.numbers)
            if self.whole:
                needed = cost.bytes_for(length, sequences)
            else:
                needed = max(cost.bytes_for(length, 1), cost.bytes_for(min(tokens, length), sequences))
            found = self.known[key] = _Parts(load, cost, fixed, needed)
        return found

    def size(self, length: int, sequences: int, batched: int) -> _Trial:
        """One trial: what is left of the budget, and why."""
        parts = self.parts(length, sequences, batched)
        memory, fixed = self.memory, parts.fixed
        fraction = self.pinned or memory.fraction_for(self.device, self.weights, fixed, self.numbers)
        budget = memory.budget(self.device, self.weights, fixed, fraction, self.numbers)
        return _Trial(parts, fraction, budget, headroom(budget, self.weights + fixed.total + parts.kv_needed))

    def footprint(self, trial: _Trial) -> Footprint:
        """The memory of a trial, term by term."""
        fixed, needed, budget = trial.parts.fixed, trial.parts.kv_needed, trial.budget
        pool = needed if self.whole else max(0, budget - self.weights - fixed.total)
        return Footprint(
            self.weights, pool, needed, fixed.activations, fixed.cuda_graphs, fixed.runtime, budget, self.device.capacity
        )

    def kv_cache(self, trial: _Trial, footprint: Footprint) -> KvCache:
        """The cache of a trial, in tokens."""
        load, cost = trial.parts.load, trial.parts.cost
        length = load.max_model_len
        held = length * load.max_num_seqs if self.whole else cost.tokens_in(footprint.kv_cache, length)
        return KvCache(cost.bytes_per_token, held, held / length if length else 0.0)

    def filled(self, trial: _Trial, floor: float, high: int) -> _Trial:
        """The most sequences that still fit, to a sixteenth, between what fits already and `high`, which does not."""
        load = trial.parts.load
        low = load.max_num_seqs
        best = trial
        while high - low > max(1, low // 16):
            middle = (low + high) // 2
            tried = self.size(load.max_model_len, middle, load.batched_tokens)
            if tried.headroom >= floor:
                low, best = middle, tried
            else:
                high = middle
        return best

"""Fit: load, cap and room. How much of the workload one GPU's memory holds, and what the engine may hold beyond it. Floor 5, pure. The load
is what needs cache; the cap (`max_num_seqs`) only costs activations and graphs where the engine has one pool, and is the load's slots where
it allocates each. A trial that does not fit lowers, in this order: tokens per step, sequences of the load that run at once (the others
queue), context; never a context or a cap that the spec gives. What fits then gets the room that costs nothing the workload needs. Each
trial asks the engine's own memory law."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping
from math import ceil
from typing import Any, NamedTuple

from generator.decide.context import Context, device_of
from generator.decide.speculative import speculation_for
from generator.engines import ENGINES, cache_cost
from generator.facts.engine import Engine
from generator.plan import KvCache
from generator.quantity import GIB, ceil_div
from generator.sizing.cache import CacheCost
from generator.sizing.footprint import Fixed, Footprint, Layout, Load, Numbers, headroom


class Wish(NamedTuple):
    """What is asked for, and how far each part may be lowered (least = asked: not at all). `sequences` are the load of one replica. `cap`
    is the pinned `max_num_seqs` of an engine with one pool; elsewhere the cap follows the load. `shorter_first`: the context is lowered
    before the load, which the spec states and each slot of which takes a whole context."""

    context: int
    least_context: int
    sequences: int
    least_sequences: int
    batched: int
    least_batched: int
    cap: int | None = None
    shorter_first: bool = False


class Fitted(NamedTuple):
    """The settings that fit (or the least that was tried), with the memory they take, in bytes of the fullest GPU. `held` sequences of the
    load run at once in one replica. `gpu_layers` is only set where some layers, or the experts of the first `cpu_experts`, stay in the
    host's memory, of which a token then reads `host_read` bytes; `split` are the layers of each GPU where they are not spread evenly.
    `sequences_capped`: more would fit, but not keep the objectives; `stretched`: only with more than the engine's usual share of the
    card."""

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
    held: int = 0
    replicas: int = 1
    stretched: bool = False
    cpu_experts: int = 0
    host_read: float = 0.0
    split: tuple[int, ...] = ()


def fit(
    context: Context, engine: Engine, layout: Layout, weights: int, base: Mapping[str, Any], kv_bits: float, numbers: Numbers,
    known: dict[Any, Any] | None = None,
) -> Fitted:  # fmt: skip
    """Fit one candidate; `base` holds what the `fit` rows set, `weights` the bytes on the fullest GPU. `known` is one decision's memory of
    what trials need beside weights: methods share it."""
    eager = bool(base.get("enforce_eager", False))
    sizer = _Sizer(context, engine, layout, weights, kv_bits, eager, bool(base.get("batch_covers_sequences")), numbers, {} if known is None else known)
    wish = wish_of(context, engine, layout, base, numbers)
    last, fits = _lowered(sizer, wish)
    # whoever pins the share has chosen the margin; a smaller file, or the host's memory, is better than none
    only = context.pinned("quantization") is not None and context.spec.hardware.host_memory_gib is None
    if not fits and (sizer.pinned is not None or only or not sizer.whole):
        near, fits = _near_miss(sizer, wish)
        last = near if fits else last
    if fits:
        last = _filled(sizer, last, wish)
        last = _with_room(sizer, last, wish, base)
    load, held, footprint = last.parts.load, last.parts.held, sizer.footprint(last)
    return Fitted(
        load, last.fraction, footprint, sizer.kv_cache(last, footprint), context_lowered=load.max_model_len < wish.context,
        sequences_lowered=held < wish.sequences and context.workload.concurrency is not None, fits=fits, asked=wish, held=held,
        replicas=layout.servers, stretched=sizer.stretched,
    )  # fmt: skip


def _lowered(sizer: _Sizer, wish: Wish) -> tuple[_Trial, bool]:
    """The first trial that fits, and that it does; or the last."""
    last = sizer.size(wish.context, wish.sequences, wish.batched, wish.cap)
    if sizer.fits(last):
        return last, True
    last = sizer.size(wish.least_context, wish.least_sequences, wish.least_batched, wish.cap)
    if not sizer.fits(last):
        return last, False
    # a trial needs more than each one after it, and the last fits: the first that does is looked up
    tries = list(trials(wish))
    first = bisect_left(range(len(tries) - 1), True, 1, key=lambda number: sizer.fits(sizer.size(*tries[number], cap=wish.cap)))
    return sizer.size(*tries[first], cap=wish.cap), True


def _near_miss(sizer: _Sizer, wish: Wish) -> tuple[_Trial, bool]:
    """The same with all of the card that the driver leaves, no margin, and the smallest steps: the context whole, and a good part of the load."""
    usual, share, numbers = sizer.floor, sizer.pinned, sizer.numbers
    if sizer.whole and share is None:
        sizer.pinned = numbers("headroom.near_miss_file")
    sizer.stretched, sizer.floor = True, numbers("headroom.near_miss")
    if wish.batched > wish.least_batched:
        wish = wish._replace(least_batched=max(min(wish.least_batched, int(numbers("steps.near_miss"))), wish.cap or 0))
    last, fits = _lowered(sizer, wish)
    if fits and last.parts.load.max_model_len == wish.context and last.parts.held >= numbers("load.least_share") * wish.sequences:
        return last, True
    sizer.stretched, sizer.floor, sizer.pinned = False, usual, share
    return last, False


def _filled(sizer: _Sizer, trial: _Trial, wish: Wish) -> _Trial:
    """A trial that halved the load, with the most sequences that still fit, to a sixteenth; the cap stays the load's where it can."""
    load, low = trial.parts.load, trial.parts.held
    stated = sizer.context.workload.concurrency is not None
    if low >= wish.sequences or (stated and load.max_model_len < wish.context and not wish.shorter_first):
        return trial
    cap = wish.cap
    if cap is None and stated and not sizer.whole:
        for most in (wish.sequences, *_powers(wish.sequences - 1, low)):
            wide = sizer.size(load.max_model_len, low, load.batched_tokens, most)
            if sizer.fits(wide):
                trial, cap = wide, most
                break
    high = min(wish.sequences, 2 * low)
    while high - low > max(1, low // 16):
        middle = (low + high) // 2
        tried = sizer.size(load.max_model_len, middle, load.batched_tokens, cap)
        if sizer.fits(tried):
            low, trial = middle, tried
        else:
            high = middle
    return trial


def _with_room(sizer: _Sizer, trial: _Trial, wish: Wish, base: Mapping[str, Any]) -> _Trial:
    """A trial that holds the whole load, with what it has room for besides: more sequences, a longer context, in powers of two. Neither
    takes cache that the load needs: of its sequences, as many as keep a cache from being called tight may reach the full length."""
    context, load, held = sizer.context, trial.parts.load, trial.parts.held
    if sizer.whole or held < wish.sequences or context.workload.concurrency is None:
        return trial
    length, batched, cap = load.max_model_len, load.batched_tokens, load.max_num_seqs
    asked, most = (length, cap), int(base.get("sequences_room", 0))
    if wish.cap is None and most > cap:
        for more in _powers(min(most, int(sizer.typical(trial))), cap):
            tried = sizer.size(length, held, batched, more, asked)
            most_used = max(trial.budget, sizer.device.capacity * (1.0 - sizer.floor))
            if sizer.fits(tried) and tried.parts.cost.least_for(more) <= sizer.room(tried) and tried.budget <= most_used:
                trial, cap = tried, more
                break
    limit = min(int(base.get("context_room", 0)), sizer.engine.longest_context(context.model.architecture))
    unasked = context.pinned("max_model_len") is None and "max_context" not in context.workload.given
    if limit > length and unasked and not base.get("batch_covers_input"):  # a step that must hold a whole prompt was sized for the context asked for
        room, cost = sizer.room(trial), trial.parts.cost
        full = min(held, ceil(sizer.numbers("weak_fit.sequences")))
        others = cost.bytes_for(min(context.workload.tokens, length), held - full) if held > full else 0
        for longer in (limit, *_powers(limit - 1, length)):
            holds = cost.bytes_for(longer, full) + others <= room
            if holds and cost.bytes_for(longer, 1) <= room - sizer.cold:  # the first start must not refuse what nobody asked for
                tried = sizer.size(longer, held, batched, cap, asked)
                if sizer.fits(tried):
                    return tried
    return trial


def _powers(most: int, above: int) -> Iterator[int]:
    """Powers of two up to `most`, the largest first, down to those above a number."""
    power = 1 << max(0, most).bit_length() >> 1
    while power > above:
        yield power
        power >>= 1


def wish_of(context: Context, engine: Engine, layout: Layout, base: Mapping[str, Any], numbers: Numbers) -> Wish:
    """The context, sequences and batch that the spec and the `fit` rows ask for."""
    workload, given = context.workload, context.workload.given
    length = context.pinned("max_model_len") or workload.max_context
    length_fixed = context.pinned("max_model_len") is not None or "max_context" in given
    least_length = length if length_fixed else min(length, workload.tokens)
    cap, least, slots = context.pinned("max_num_seqs"), 1, "gguf" in engine.facts["formats"]  # slots of a whole context each, no pool
    first = slots and "concurrency" in given and workload.concurrency is not None
    sequences = int(base["sequences_most"]) if workload.concurrency is None else ceil_div(workload.concurrency, layout.servers)
    if cap is not None and slots:
        sequences, least, cap = int(cap), int(cap), None
    elif cap is not None:
        sequences = int(cap) if workload.concurrency is None else min(sequences, int(cap))
    pinned = context.pinned("max_num_batched_tokens")
    batched = int(pinned or base["max_num_batched_tokens"])
    least_batched = batched if pinned is not None else min(batched, int(base["batched_tokens_least"]))
    if pinned is None and base.get("batch_covers_input"):
        batched = least_batched = max(batched, longest_input(context, length))
    elif base.get("batch_covers_input") and context.task != "generate" and not length_fixed:
        length, least_length = min(length, batched), min(least_length, batched)  # a text longer than the step that was pinned cannot be read
    if pinned is None and base.get("batch_covers_sequences"):  # the scheduler cannot run more sequences in a step than it has tokens for
        batched, least_batched = max(batched, sequences, cap or 0), max(least_batched, least, cap or 0)
    return Wish(length, least_length, sequences, least, batched, least_batched, cap, first)


def longest_input(context: Context, length: int) -> int:
    """Tokens of the longest prompt that leaves room for an answer."""
    if context.task != "generate":
        return length
    return max(1, length - max(1, min(context.workload.output_tokens, length // 2)))


def trials(wish: Wish) -> Iterator[tuple[int, int, int]]:
    """(context, sequences, batch) from what is asked to the least, one part lowered after the other, by halves."""
    length, sequences, batched = wish.context, wish.sequences, wish.batched
    yield length, sequences, batched
    while batched > wish.least_batched:
        batched = max(wish.least_batched, batched // 2)
        yield length, sequences, batched
    for shorter in (wish.shorter_first, not wish.shorter_first):
        while shorter and length > wish.least_context:
            length = max(wish.least_context, length // 2)
            yield length, sequences, batched
        while not shorter and sequences > wish.least_sequences:
            sequences = max(wish.least_sequences, sequences // 2)
            yield length, sequences, batched


class _Parts(NamedTuple):
    """What a trial needs beside the weights; `held` sequences of the load run at once."""

    load: Load
    held: int
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
        self, context: Context, engine: Engine, layout: Layout, weights: int, kv_bits: float, eager: bool, covers: bool, numbers: Numbers,
        known: dict[Any, Any],
    ) -> None:  # fmt: skip
        self.context, self.engine, self.layout, self.weights = context, engine, layout, weights
        self.kv_bits, self.eager, self.covers, self.numbers = kv_bits, eager, covers, numbers
        self.known = known.setdefault((engine.name, layout._replace(replicas=1), kv_bits, eager), {})
        self.whole = "gguf" in engine.facts["formats"]
        """whether the engine allocates the whole context of every slot, and has no pool that sequences share"""
        self.memory = ENGINES[engine.name].memory
        self.pinned = context.pinned("gpu_memory_utilization")
        self.device, self.floor = device_of(context), numbers("headroom.floor")
        self.stretched = False
        compiles = ENGINES[engine.name].cold if not eager and self.device.vendor != "cpu" else None
        self.cold = int(numbers(compiles) * GIB) if compiles else 0
        found = speculation_for(context, engine)
        self.verified = 1 if found is None else 1 + found.tokens

    def parts(self, length: int, held: int, batched: int, cap: int, asked: tuple[int, int]) -> _Parts:
        """Everything of a trial that does not depend on the weights, which is everything that costs time."""
        key = (length, held, batched, cap, asked)
        found: _Parts | None = self.known.get(key)
        if found is None:
            architecture, tokens = self.context.model.architecture, self.context.workload.tokens
            load = Load(length, cap, batched, self.kv_bits, self.eager, self.verified)
            cost = cache_cost(architecture, self.layout, self.kv_bits, self.engine.name, batched_tokens=batched, sequences=cap, numbers=self.numbers)
            fixed = self.memory.fixed(architecture, self.layout, load, self.device, self.weights, self.numbers)
            if self.whole:
                needed = cost.bytes_for(length, cap)
            else:
                needed = max(cost.bytes_for(asked[0], 1), cost.bytes_for(min(tokens, length), held), cost.least_for(asked[1]))
            found = self.known[key] = _Parts(load, held, cost, fixed, needed)
        return found

    def size(self, length: int, held: int, batched: int, cap: int | None = None, asked: tuple[int, int] | None = None) -> _Trial:
        """One trial: what is left of the budget, and why. Without a cap of its own it is that of the sequences. `asked` are the length and
        the cap that the workload needs, where these are more."""
        cap = held if cap is None else cap
        if self.covers and cap > batched:  # no step runs more sequences than it has tokens
            cap = batched
        parts = self.parts(length, min(held, cap), batched, cap, asked or (length, cap))
        memory, fixed = self.memory, parts.fixed
        fraction = self.pinned or memory.fraction_for(self.device, self.weights, fixed, self.numbers, self.stretched)
        if self.whole and self.pinned:
            budget = int(self.device.capacity * self.pinned)
        else:
            budget = memory.budget(self.device, self.weights, fixed, fraction, self.numbers)
        return _Trial(parts, fraction, budget, headroom(budget, self.weights + fixed.total + parts.kv_needed))

    def fits(self, trial: _Trial) -> bool:
        """Whether enough of the budget stays free."""
        return trial.headroom >= self.floor

    def room(self, trial: _Trial) -> int:
        """Bytes that the cache may take while enough of the budget stays free."""
        return int(trial.budget * (1.0 - self.floor)) - self.weights - trial.parts.fixed.total

    def typical(self, trial: _Trial) -> float:
        """Typical sequences that the cache of a trial holds; windows and states take the same for each but the first."""
        cost, load = trial.parts.cost, trial.parts.load
        if self.whole:
            return float(load.max_num_seqs)
        tokens, pool = min(self.context.workload.tokens, load.max_model_len), trial.budget - self.weights - trial.parts.fixed.total
        one = cost.bytes_for(tokens, 1)
        each = cost.bytes_for(tokens, 2) - one
        return max(0.0, 1.0 + (pool - one) / each) if each and pool >= one else max(0.0, pool / one) if one else float(load.max_num_seqs)

    def footprint(self, trial: _Trial) -> Footprint:
        """The memory of a trial, term by term."""
        fixed, needed, budget = trial.parts.fixed, trial.parts.kv_needed, trial.budget
        caches = self.context.model.architecture.caches  # without any, the rest stays free
        pool = needed if self.whole or not caches else max(0, budget - self.weights - fixed.total)
        return Footprint(self.weights, pool, needed, fixed.activations, fixed.cuda_graphs, fixed.runtime, budget, self.device.capacity)

    def kv_cache(self, trial: _Trial, footprint: Footprint) -> KvCache:
        """The cache of a trial, in tokens."""
        load, cost = trial.parts.load, trial.parts.cost
        length = load.max_model_len
        held = length * load.max_num_seqs if self.whole else cost.tokens_in(footprint.kv_cache, length)
        cold = cost.tokens_in(max(0, footprint.kv_cache - self.cold), length) if self.cold else None
        return KvCache(cost.bytes_per_token, held, held / length if length else 0.0, self.typical(trial), cold)

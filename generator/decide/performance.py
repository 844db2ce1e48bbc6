"""How fast a candidate is: its shape, hardware and load put before the speed model, and what rules may read of it. Floor 5, pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from generator.decide.context import Context, kv_bits_of, numbers_of
from generator.decide.offload import read_where
from generator.decide.prefer import Ranked
from generator.engines import cache_cost
from generator.facts.engine import back_ends_of
from generator.plan import Candidate, Performance, changed
from generator.rulebook.book import RuleBook
from generator.rulebook.memo import remembered
from generator.rulebook.table import Facts, Row
from generator.sizing.footprint import Layout
from generator.throughput.estimate import LOCAL, Calibration, Setting, compared, estimate, most_within
from generator.throughput.shapes import (
    CacheTraffic,
    Demand,
    Drafting,
    HardwareShape,
    InHost,
    Speed,
    Split,
    cache_traffic,
    hardware_shape,
    model_shape,
)
from generator.throughput.steps import packing_of

if TYPE_CHECKING:  # every start would pay for building the types
    from generator.decide.vocabulary import SpeedNames
    from generator.rulebook.sections import Gpu

NAMES = ("speed.output_tokens_per_second", "speed.tpot_ms", "speed.ttft_ms")
NO_NAMES: SpeedNames = {
    "speed.output_tokens_per_second": None, "speed.tpot_ms": None, "speed.ttft_ms": None,
    "objective.ttft_ratio": None, "objective.tpot_ratio": None, "objective.missed": 0,
}  # fmt: skip
MEASURED_DRAFTS = ("mtp", "eagle3")
NO_MEASUREMENTS = "no measurements of servers for embeddings, reranking or classification"


@remembered
def calibration_of(book: RuleBook) -> Calibration | None:
    """The speed model's factors in a rule set, read once; None for a set without them."""
    return Calibration(numbers_of(book, "0")) if "speed.bandwidth" in book.thresholds else None


@remembered
def _hardware(context: Context, method: str, engine: str, back_end: str | None, across: bool) -> HardwareShape:
    gpu, book, numbers = context.gpu, context.book, calibration_of(context.book)
    assert numbers is not None  # without a speed model nobody asks
    architecture = book.section("architectures")[gpu.architecture]
    facts = cast("Gpu", {**gpu.fields, "vendor": gpu.vendor, "architecture": gpu.architecture})
    return hardware_shape(
        facts, architecture, book.section("methods")[method], numbers.numbers, interconnect=gpu.interconnect, across=across,
        host_bandwidth=context.spec.hardware.host_bandwidth_gb_per_s,
        back_end=back_end and back_ends_of(book.section("engines")[engine], architecture)[back_end],
    )  # fmt: skip


@remembered
def _traffic(context: Context, tensor_parallel: int, pipeline_parallel: int, kv_bits: float, engine: str) -> CacheTraffic:
    return cache_traffic(cache_cost(context.model.architecture, Layout(tensor_parallel, pipeline_parallel), kv_bits, engine))


class Speeds:
    """The speeds of one decision's candidates; what methods and layouts share is kept."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.calibration = calibration_of(context.book) if context.book.sizing == "detailed" else None
        objectives = context.spec.workload
        self.ttft, self.tpot = objectives.get("ttft_ms"), objectives.get("tpot_ms")
        self.no_names: SpeedNames = {**NO_NAMES, "objective.missed": 1} if self.ttft or self.tpot else NO_NAMES

    def read_by(self, book: RuleBook, preferences: Sequence[Row]) -> bool:
        """Whether rows need every candidate's speed: objectives, or a row of the user's own that reads one. Contests ask for themselves."""
        if self.calibration is None:
            return False
        if self.ttft or self.tpot or any((row.order or ("",))[0] in NAMES for row in preferences):
            return True
        rows = (row for table in ("reject", "settings") for row in book.tables[table].rows)
        return any(not row.when.keys().isdisjoint(NAMES) and not any(name.startswith("objective.") for name in row.when) for row in rows)

    def estimated(self, candidate: Candidate) -> Candidate:
        """A fitted candidate with its speed, or with why there is none; as it is where it has one."""
        if candidate.performance is not None or candidate.memory is None:
            return candidate
        if self.calibration is None:
            return changed(candidate, performance=Performance(unknown="this rule set has no speed model"))
        setting = self.setting(candidate)
        unknown = setting.unknown() if self.context.task == "generate" else NO_MEASUREMENTS
        if unknown:
            return changed(candidate, performance=Performance(unknown=unknown))
        speed = estimate(setting, self.demand(candidate), self.calibration)
        assert speed is not None  # Setting.unknown said so
        return changed(candidate, performance=Performance(speed))

    def names_of(self, candidate: Candidate) -> SpeedNames:
        """The names that rules may read of a candidate that has been estimated."""
        speed = candidate.speed
        if speed is None:
            return self.no_names
        output, tpot, ttft = speed.output_tokens_per_second.value, speed.tpot_ms, speed.ttft_ms
        return {
            "speed.output_tokens_per_second": output, "speed.tpot_ms": tpot.value, "speed.ttft_ms": ttft.value if ttft else None,
            "objective.missed": int(bool((self.tpot and tpot.value > self.tpot) or (self.ttft and (ttft is None or ttft.value > self.ttft)))),
            "objective.tpot_ratio": tpot.low / self.tpot if self.tpot else None,
            "objective.ttft_ratio": ttft.low / self.ttft if self.ttft and ttft else None,
        }  # fmt: skip

    def setting(self, candidate: Candidate) -> Setting:
        """A sized candidate as the speed model sees it."""
        context, engine = self.context, candidate.engine
        ranks = candidate.data_parallel
        layout = Layout(candidate.tensor_parallel, candidate.pipeline_parallel, replicas=candidate.replicas, data_parallel=ranks)
        footprint, kv_bits = candidate.memory, kv_bits_of(self.context.book, candidate.kv_cache_dtype)
        assert footprint is not None
        method = context.book.section("methods")[candidate.method]
        architecture = context.model.architecture
        model = model_shape(architecture, method)
        local = engine in LOCAL
        model, in_host = read_where(context, candidate, model, float(footprint.weights * layout.gpus)) if local else (model, InHost())
        across = layout.gpus > context.spec.hardware.gpus_per_node
        hardware = _hardware(context, candidate.method, engine, candidate.back_end, across)
        traffic = _traffic(context, layout.tensor_parallel, layout.pipeline_parallel, kv_bits, engine)
        if ranks > 1:  # each has the attention and its own share of the sequences; the experts are spread over all
            model = model._replace(dense_bytes=model.dense_bytes * ranks)
            traffic = traffic.shared(ranks)
        split = Split(layout.ranks, layout.pipeline_parallel, layout.replicas)
        packing = packing_of(candidate.method) if local else "plain"
        return Setting(model, hardware, traffic, split, engine, packing, in_host, self._drafting(candidate))

    def _drafting(self, candidate: Candidate) -> Drafting | None:
        """What drafts for a candidate, where measurements say how much of it is accepted."""
        found, footprint = self.context.speculation, candidate.memory
        if found is None or candidate.speculative is None or footprint is None or found.method not in MEASURED_DRAFTS:
            return None
        accepted, model = self.context.book.number(f"speed.accepted.{found.method}"), self.context.model.architecture
        heads = model.unloaded if found.own else ()
        routed = sum(m.parameters for m in heads if m.role == "expert") * (1 - model.experts_per_token / max(1, model.experts))
        read = 1 - routed / found.parameters if found.parameters else 1.0
        size = footprint.draft * candidate.tensor_parallel * read
        return Drafting(found.tokens, accepted, size, max(1, sum(one.layers for one in found.caches)))

    def demand(self, candidate: Candidate) -> Demand:
        """The workload, and how many typical sequences one replica runs at once: no more than its cap, nor than its cache holds."""
        workload = self.context.workload
        most = max(1.0, min(float(candidate.max_num_seqs), typical(candidate))) * candidate.data_parallel
        return Demand(workload.concurrency, workload.input_tokens, workload.output_tokens, most)

    def places(self, candidate: Candidate) -> float:
        """How many typical sequences the cache of one replica holds; no more than `max_num_seqs` where the spec pins that."""
        most = typical(candidate)
        return most if self.context.pinned("max_num_seqs") is None else min(most, float(candidate.max_num_seqs))

    def within_objectives(self, candidate: Candidate) -> int | None:
        """The concurrency at which the objectives still hold, up to what the cache holds; None without objectives."""
        if self.calibration is None or candidate.memory is None or not (self.ttft or self.tpot) or candidate.speed is None:
            return None
        setting = self.setting(candidate)
        sequences = max(1, int(self.places(candidate)))
        demand = Demand(None, self.context.workload.input_tokens, self.context.workload.output_tokens, sequences)
        return most_within(setting, demand, self.calibration, self.ttft, self.tpot, sequences * candidate.replicas)

    def sequences_within(self, candidate: Candidate) -> int | None:
        """With `concurrency: max` the sequences of one replica, one at least, that keep the objectives; None where nothing asks for that."""
        if self.context.workload.concurrency is not None or self.context.pinned("max_num_seqs") is not None:
            return None
        most = self.within_objectives(candidate)
        return None if most is None else max(1, most // candidate.replicas)

    def curve(self, candidate: Candidate, concurrencies: Sequence[int]) -> list[Speed]:
        """The speed of a candidate at each concurrency; its cache and its settings stay as they are."""
        if self.calibration is None or candidate.memory is None:
            return []
        setting = self.setting(candidate)
        workload = self.context.workload
        most = max(1.0, self.places(candidate))
        found = [estimate(setting, Demand(c, workload.input_tokens, workload.output_tokens, most), self.calibration) for c in concurrencies]
        return [speed for speed in found if speed is not None]

    def level(self, among: str, name: str) -> float:
        """The share by which estimates `name` may differ and still be level, in a contest of `layouts`, `methods` or `engines`."""
        first = "_ttft" if name == "speed.ttft_ms" else ""
        return 0.0 if self.calibration is None else self.calibration.numbers(f"speed.compare.{among}{first}")

    def comparable(self, one: Ranked) -> Facts | None:
        """An estimate by which a candidate may be preferred to another; None where there is none."""
        candidate = one.candidate
        if candidate.performance is not None:
            return self.names_of(candidate) if candidate.speed else None
        if candidate.memory is None or self.calibration is None:
            return None
        found = compared(self.setting(candidate), self.demand(candidate), self.calibration)
        return found and dict(zip(NAMES, (found.output_tokens_per_second, found.tpot_ms, found.ttft_ms), strict=True))

    def promised(self, candidate: Candidate) -> Candidate:
        """A candidate that will be shown, with the concurrency at which its objectives still hold."""
        most = self.within_objectives(candidate)
        if most is None or candidate.performance is None:
            return candidate
        return changed(candidate, performance=candidate.performance._replace(within_objectives=most))


def typical(candidate: Candidate) -> float:
    """How many of the workload's typical sequences the cache of one replica holds."""
    return candidate.kv_cache.typical if candidate.kv_cache else 0.0

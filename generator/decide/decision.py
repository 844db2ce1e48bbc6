"""The decision for one spec: every candidate with its figures or its reasons, and the best of them. Floor 5, pure but for the files that
the spec names."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple, cast

from generator.decide import prefer
from generator.decide.automatic import best, each_set, faster, smallest
from generator.decide.beside import beside
from generator.decide.breakdown import host_of, terms_of
from generator.decide.consider import Pair, layouts, pairs, stages, suited
from generator.decide.context import Context, kv_bits_of, normalised, numbers_for, reasons, resolve, shapes_of, trace_of
from generator.decide.fit import Fitted, Wish, fit
from generator.decide.job_weights import comes_last
from generator.decide.names import pair_names, spec_names
from generator.decide.offload import partly_offloaded, placement_of
from generator.decide.performance import Speeds
from generator.decide.prefer import Contests, Order, Ranked
from generator.decide.settings import collected, emitted, fit_base, fit_reads
from generator.decide.sized import NO_JOB, UNCUT, Units, arranged, download_of, fit_names, revision_of, target_names, target_of, units_of
from generator.decide.speculative import speculation_json
from generator.decide.weigh import drafting, projector_bytes, served, thumb, thumb_footprint, weights_on_gpu
from generator.facts.engine import kv_support_of, resolve_engine
from generator.facts.job import Job, moved
from generator.facts.quality import Quality
from generator.plan import Candidate, Plan, Reason, Rejection, Trace, Value, changed
from generator.quantity import grouped
from generator.record import dataclass
from generator.rulebook.book import RuleBook
from generator.rulebook.table import LAYOUT, PAIR, SIZED, SPEC, Row
from generator.sizing.footprint import Layout, Load, whole_card
from generator.spec.deployment import DeploymentSpec

if TYPE_CHECKING:  # every start would pay for building the types
    from generator.decide.vocabulary import LayoutFacts, Names, PairFacts, PairNames, Sources


@dataclass(frozen=True, slots=True)
class Outcome:
    """A decided spec: the plan, and the candidates that work, best first, with what the rules read of each."""

    plan: Plan
    ranked: tuple[Ranked, ...]
    context: Context
    contests: Contests

    def lost_by(self, candidate: Candidate) -> Row | None:
        """The criterion by which a candidate that works lost to the choice."""
        one = next((one for one in self.ranked if one.candidate.id == candidate.id), None)
        return None if one is None else self.contests.deciding(self.ranked[0], one)


def decide(spec: DeploymentSpec, book: RuleBook, thorough: bool = False, making: bool = False) -> Outcome:
    """Decide one spec by a rule book; raises `InputError` for what is unknown in the spec. `thorough` also considers what is out of the
    question from the start, for whoever asks why not; with `making`, methods have their weights made even where a prepared checkpoint is
    published."""

    def within(kept: Mapping[str, object]) -> Outcome:
        return _decided(spec, book, lambda tried: _Decision(resolve(tried, book, thorough, making, kept)).outcome())

    if spec.serve.get("speculative") == "auto":
        return faster(within({}), lambda: decide(replace(spec, serve={**spec.serve, "speculative": "off"}), book, thorough, making))
    choice = spec.lock.choices.get(spec.name) if spec.lock is not None else None
    if choice is None:
        return within({})
    from generator.decide.kept import held  # few specs have a lock

    return held(spec, within({}), choice, within)


def works(spec: DeploymentSpec, book: RuleBook) -> bool:
    """Whether anything works for a spec: the first candidate that does is enough. Raises `InputError` as `decide`."""
    if spec.hardware.gpus or spec.hardware.gpus_auto or spec.serve.get("speculative") == "auto":
        return decide(spec, book).plan.choice is not None
    decision = _Decision(resolve(spec, book), first=True)
    decision._pairs(prefer.criteria(book.tables["prefer"], decision.names), making=True)
    return bool(decision.working)


def best_of_ready(spec: DeploymentSpec, book: RuleBook) -> Ranked | None:
    """What `decide` chooses where published weights will do, with its speed; None where none of them runs. Settings, runners-up and reasons
    are left out: for a whole catalogue. Raises `InputError` for what is unknown in the spec."""
    decision = _Decision(resolve(spec, book))
    best = decision.best_of_ready()
    if best is None:
        return None
    candidate = decision.speeds.estimated(best.candidate)
    return best._replace(candidate=candidate, facts={**best.facts, **decision.speeds.names_of(candidate)})


def _decided(spec: DeploymentSpec, book: RuleBook, decided: Callable[[DeploymentSpec], Outcome]) -> Outcome:
    """The outcome for a machine as it is, or for the best of the machines that the spec leaves open."""
    if spec.hardware.gpus and not spec.hardware.cards:
        return best(each_set(spec, book), decided)
    return smallest(spec, book, decided) if spec.hardware.gpus_auto else decided(spec)


_NOTHING = Candidate("", "", "", 0.0, None, "", None, None, "", "")
"""What candidates are changed from."""


class _Case(NamedTuple):
    """A pair under consideration: what is known of it in every layout, and the rows against it."""

    pair: Pair
    candidate: Candidate
    facts: PairFacts
    sources: Sources
    found: tuple[Reason, ...]
    units: Units = UNCUT


class _Decision:
    def __init__(self, context: Context, first: bool = False) -> None:
        """With `first`, the first candidate that works ends the search."""
        self.context, self.book, self.first = context, context.book, first
        self.names, self.sources = spec_names(context)
        self.everywhere = reasons("reject", SPEC, self.names, self.sources, self.book)
        self.rejected: list[Rejection] = []
        self.working: list[Ranked] = []
        self.speeds = Speeds(context)
        self.trials: dict[object, object] = {}

    @cached_property
    def eager(self) -> bool:
        """Whether rows read speeds before the choice is made; else only what is shown is estimated."""
        return self.speeds.read_by(self.book, prefer.criteria(self.book.tables["prefer"], self.names))

    def best_of_ready(self) -> Ranked | None:
        """The best of all candidates whose weights exist. Pairs that an earlier one beats whatever their layout are not sized."""
        rows = prefer.criteria(self.book.tables["prefer"], self.names)
        policy = prefer.policy_of(rows)
        found = [case for pair in pairs(self.context, making=False) if (case := self._case(pair)) is not None]
        cases = sorted(((prefer.least(policy, case.facts, self.book.names), case) for case in found), key=lambda bounded: bounded[0])
        best: list[float] | None = None
        for least, case in cases:
            if best is not None and least > best:
                break
            before = len(self.working)
            self._sizes(case)
            best = min([*([] if best is None else [best]), *(prefer.least(policy, one.facts) for one in self.working[before:])], default=None)
        return next(iter(self._contests(rows).order(self.working).best_first), None)

    def _contests(self, rows: list[Row]) -> Contests:
        return Contests(rows, self.speeds.level, self.speeds.comparable)

    def outcome(self) -> Outcome:
        rows = prefer.criteria(self.book.tables["prefer"], self.names)
        self._pairs(rows, making=True)
        contests = self._contests(rows)
        order = contests.order(self.working)
        finished, steps = self._best_of_engines(order.best_first)
        if finished:
            best, facts = self._shown(finished[0], order.best_first[0]), finished[0].facts
            best = changed(best, terms=terms_of(self.context, best, facts, finished[0].made), host=host_of(self.context, best, finished[0].made))
            finished[0] = finished[0]._replace(candidate=best, facts={**facts, **self.speeds.names_of(best)})
        choice = finished[0] if finished else None
        if choice is None:
            # with the concurrency that would keep the objectives: what to ask for instead
            self.rejected = [one._replace(candidate=self.speeds.promised(one.candidate)) for one in self.rejected]
        trace = (*self.context.trace, *self._dropped(), *self._preferred(order, contests), *steps)
        plan = Plan(
            name=self.context.spec.name, rules_name=self.book.name, rules_digest=self.book.digest, spec=normalised(self.context),
            choice=choice.candidate if choice else None, alternatives=self._alternatives(finished, order, contests),
            rejected=tuple(sorted(self.rejected, key=lambda r: (r.candidate.memory is None, len(r.reasons)))),
            warnings=self._warnings(choice), trace=trace, facts=choice.facts if choice else self.names,
        )  # fmt: skip
        return Outcome(plan, tuple(finished), self.context, contests)

    # -- candidates

    def _pairs(self, preferences: list[Row], making: bool) -> None:
        """Weigh every pair. While the rules put weights that a job makes last, they are only looked at where nothing else works."""
        context = self.context
        last = comes_last(preferences) and not (context.thorough or context.making)
        for pair in pairs(context, making=making and not last):
            self._pair(pair)
            if self.first and self.working:
                return
        if self.working or not (making and last) or self.everywhere:
            return
        made = [pair for pair in pairs(context, making=True) if pair.made is not None]
        again = {(pair.engine.name, pair.method) for pair in made}
        self.rejected = [r for r in self.rejected if (r.candidate.engine, r.candidate.method) not in again]
        for pair in made:
            self._pair(pair)

    def _pair(self, pair: Pair) -> None:
        case = self._case(pair)
        if case is not None:
            self._sizes(case)

    def _case(self, pair: Pair) -> _Case | None:
        """A pair with what is known of it; None where it is rejected whatever its layout."""
        names, sources, quality = pair_names(self.context, pair.engine, pair.method, pair.checkpoint, pair.origin)
        facts: PairFacts = {**self.names, **names}
        sources = {**self.sources, **sources}
        found = (*self.everywhere, *reasons("reject", PAIR, facts, sources, self.book))
        candidate = self._candidate(pair, names, quality)
        if found and not self._wants_figures(pair):
            self.rejected.append(Rejection(candidate, found))
            return None
        return _Case(pair, candidate, facts, sources, found)

    def _sizes(self, case: _Case) -> None:
        """Weigh every layout of a pair; stages of a pipeline only where nothing else works."""
        facts = cast("PairFacts", {**case.facts, **target_names(self.context, case.pair, case.facts)})
        case, before = self._in_units(case._replace(facts=facts)), len(self.working)
        for layout in layouts(self.context, case.pair.engine):
            self._layout(case, layout)
        if len(self.working) == before:
            for layout in stages(self.context, case.pair.engine):
                self._layout(case, layout)

    def _in_units(self, case: _Case) -> _Case:
        return case._replace(units=units_of(self.context, case.pair.engine, case.pair.method, case.pair.checkpoint))

    def _wants_figures(self, pair: Pair) -> bool:
        """A pinned candidate keeps its estimate even where it is rejected, if its format can be sized for the engine."""
        spec, own = self.context.spec, self.context.model.own_method
        pinned = bool(spec.pin.keys() & {"engine", "quantization", "tensor_parallel", "pipeline_parallel"})
        same = own in (None, pair.method) or "quantization" in spec.pin
        return pinned and same and pair.engine.reads(self.book.section("methods")[pair.method])

    def _candidate(self, pair: Pair, names: PairNames, quality: Quality) -> Candidate:
        entry, checkpoint, serve = self.book.section("methods")[pair.method], pair.checkpoint, self.context.spec.serve
        return changed(
            _NOTHING, engine=pair.engine.name, engine_version=pair.engine.version, back_end=names["engine.back_end"], method=pair.method,
            bits=entry["weight_bits"], group_size=(checkpoint.group_size if checkpoint else None) or entry.get("group_size"),
            checkpoint=target_of(self.context, pair), revision=revision_of(self.context, pair), gguf_file=checkpoint.file if checkpoint else None,
            download=download_of(self.context, pair), origin=pair.origin, dtype=names["dtype"], quality=quality, task=self.context.task,
            projector=checkpoint.projector[0] if checkpoint and checkpoint.projector and serve.get("images") != 0 else None,
            speculative=speculation_json(self.context, pair.engine), adapters=serve.get("adapters") or {},
        )  # fmt: skip

    def _layout(self, case: _Case, layout: Layout) -> None:
        if case.pair.made is not None:
            case = self._in_units(case._replace(pair=suited(self.context, case.pair, layout)))
        pair, candidate = case.pair, case.candidate
        layout, names = arranged(self.context, pair.engine, layout, case.units)
        facts: LayoutFacts = {**case.facts, **names}
        split = {"group_size": pair.made.group_size if pair.made else candidate.group_size, **layout._asdict()}
        found = (*case.found, *reasons("reject", LAYOUT, facts, case.sources, self.book))
        if found and not self._wants_figures(pair):
            self.rejected.append(Rejection(changed(candidate, **split), found))
            return
        if self.first and self._too_large(pair, layout):
            return
        one = self._sized(case, layout, split, facts)
        found = (*found, *reasons("reject", SIZED, one.facts, one.sources, self.book))
        if found:
            candidate = self.speeds.estimated(one.candidate) if self._wants_figures(pair) else one.candidate
            self.rejected.append(Rejection(candidate, found))
        else:
            self.working.append(one)

    def _too_large(self, pair: Pair, layout: Layout) -> bool:
        """Whether the weights alone are more than a GPU has, so that a row rejects what could only be fitted in vain."""
        context, bounds = self.context, {"memory.headroom": 0.0, "share.stretched": False}
        offloads = pair.engine.has("gpu_layers") and (context.spec.hardware.host_memory_gib is not None or context.pinned("cpu_experts"))
        if offloads or self.book.sizing != "detailed" or not context.model.architecture.caches:
            return False
        if not any(row.when.keys() <= bounds.keys() and row.matches(bounds) for row in self.book.tables["reject"].by_stage[SIZED]):
            return False
        return weights_on_gpu(served(context, pair.engine), pair.method, layout, pair.checkpoint, pair.made) > whole_card(context.gpu.device)

    def _sized(self, case: _Case, layout: Layout, split: Mapping[str, int | None], known: LayoutFacts) -> Ranked:
        """The candidate fitted, with all that is then known of it."""
        pair, engine = case.pair, case.pair.engine
        base = fit_base(self.context, engine.version, tuple(map(known.get, fit_reads(self.book))))
        kv_dtype = str(self.context.pinned("kv_cache_dtype") or base["kv_cache_dtype"])
        kv_support, kv_source = kv_support_of(self.book, engine, kv_dtype, self.context.gpu.architecture, shapes_of(self.context))
        fitted = self._fitted(pair, layout, base, kv_dtype)
        split = {**split, **placement_of(engine, self.context, fitted)}
        found = self._with_figures(case.candidate, split, kv_dtype, fitted)
        most = self.speeds.sequences_within(found) if fitted.fits and fitted.gpu_layers is None else None
        if most is not None and most < fitted.load.max_num_seqs:
            fitted = self._fitted(pair, layout, {**base, "sequences_most": most}, kv_dtype)._replace(sequences_capped=True)
            found = self._with_figures(case.candidate, split, kv_dtype, fitted)
        speed = self.speeds.names_of(found) if self.eager else self.speeds.no_names
        facts = cast("Names", known)  # completed in place: a copy for each candidate would cost
        facts |= {**NO_JOB, **fit_names(self.context, fitted, kv_dtype, kv_support), **speed}  # type: ignore[typeddict-item]
        return Ranked(found, facts, {**case.sources, "kv_cache.support": kv_source}, pair.made)

    def _with_figures(self, candidate: Candidate, split: Mapping[str, int | None], kv_dtype: str, fitted: Fitted) -> Candidate:
        """The candidate as it was fitted, with its speed where that is wanted before the choice."""
        found = changed(
            candidate, **split, kv_cache_dtype=kv_dtype, max_model_len=fitted.load.max_model_len, max_num_seqs=fitted.load.max_num_seqs,
            max_num_batched_tokens=fitted.load.batched_tokens, gpu_memory_utilization=fitted.fraction, memory=fitted.footprint,
            kv_cache=fitted.kv_cache,
        )  # fmt: skip
        return self.speeds.estimated(found) if fitted.gpu_layers is not None or (fitted.fits and self.eager) else found

    def _fitted(self, pair: Pair, layout: Layout, base: Mapping[str, Value], kv_dtype: str) -> Fitted:
        if self.book.sizing == "rule-of-thumb":
            footprint, kv_cache = thumb_footprint(self.context, pair.method)
            workload = self.context.workload
            load = Load(workload.max_context, workload.concurrency or 1, int(base["max_num_batched_tokens"]))
            asked = Wish(load.max_model_len, load.max_model_len, load.max_num_seqs, load.max_num_seqs, load.batched_tokens, load.batched_tokens)
            return Fitted(load, 1.0, footprint, kv_cache, False, False, footprint.headroom >= 0, asked)
        numbers = numbers_for(self.context, pair.engine)
        context = served(self.context, pair.engine)
        weights = weights_on_gpu(context, pair.method, layout, pair.checkpoint, pair.made)
        weights += projector_bytes(self.context, pair.engine, pair.checkpoint)
        bits, more = kv_bits_of(self.book, kv_dtype), beside(self.context, pair.engine, pair.method, layout)
        fitted = fit(context, pair.engine, layout, weights + more.total, base, bits, numbers, self.trials)
        if not fitted.fits or self.context.pinned("cpu_experts") or self.context.gpu.sizes:
            fitted = partly_offloaded(drafting(self.context, pair.engine), pair, layout, base, bits, numbers, more.total) or fitted
        apart = more.total and not self.context.gpu.sizes  # of unequal cards the fullest may be without them
        return fitted._replace(footprint=more.taken_from(fitted.footprint)) if apart else fitted

    # -- the best, and why

    def _best_of_engines(self, best_first: list[Ranked]) -> tuple[list[Ranked], list[Trace]]:
        """All that work, best first; the first of each engine with its settings, and the trace of the choice's."""
        seen: set[str] = set()
        finished: list[Ranked] = []
        trace: list[Trace] = []
        jobs: list[Job] = []
        for one in best_first:
            candidate = changed(one.candidate, thumb=thumb(self.context, one.candidate.method))
            if candidate.engine not in seen:
                engine = resolve_engine(candidate.engine, candidate.engine_version, self.book)
                one, candidate = self._with_job(one, candidate, jobs)
                if not seen:
                    trace += collected("fit", one.facts, one.sources, self.book, engine.version)[1]
                settings, steps = emitted(self.context, one.facts, one.sources, engine)
                if not seen:
                    trace += steps
                    if candidate.job is not None:
                        trace += collected("quantize", one.facts, one.sources, self.book, engine.version)[1]
                candidate = changed(candidate, settings=settings)
                seen.add(candidate.engine)
            finished.append(one._replace(candidate=candidate))
        return finished, trace

    def _with_job(self, one: Ranked, candidate: Candidate, jobs: list[Job]) -> tuple[Ranked, Candidate]:
        """The best of an engine with the job that makes its weights; engines share a job, or have a folder of their own for it."""
        if one.made is None:
            return one, candidate
        from generator.decide.weight_jobs import job_names, job_of

        job = job_of(self.context, candidate, one.made)
        if job not in jobs:
            job = moved(job, candidate.engine) if jobs else job
            jobs.append(job)
        target = f"./{job.output}"
        path = target if one.facts["gguf.path"] else None
        facts: Names = {**one.facts, **job_names(self.context, job), "checkpoint": target, "gguf.path": path}
        return one._replace(facts=facts), changed(candidate, checkpoint=target, job=job)

    def _alternatives(self, finished: list[Ranked], order: Order, contests: Contests) -> tuple[Candidate, ...]:
        """The runners-up, best first: the best layout of each engine and method, and the best of all by speed, latency, loss and GPUs."""
        found, leaders = order.best_first, order.leaders
        best = prefer.extremes(found, [contests.estimated(one) for one in found])
        shown = [*range(1, leaders), *dict.fromkeys(place for place in best if place >= leaders)]
        return tuple([self._shown(finished[place], found[place]) for place in shown])

    def _shown(self, finished: Ranked, compared: Ranked) -> Candidate:
        """A candidate with its whole estimate, of what was compared: before it got settings."""
        performance = self.speeds.estimated(compared.candidate).performance
        return self.speeds.promised(changed(finished.candidate, performance=performance))

    def _warnings(self, choice: Ranked | None) -> tuple[Reason, ...]:
        if choice is None:
            return reasons("warn", SPEC, self.names, self.sources, self.book)
        candidate, deploy = choice.candidate, self.context.spec.deploy
        found = tuple(r for stage in (SPEC, PAIR, LAYOUT, SIZED) for r in reasons("warn", stage, choice.facts, choice.sources, self.book))
        if not (deploy.get("extra_args") or deploy.get("env")):
            return found
        from generator.decide.gates import gate_warnings  # few specs have either

        engine = resolve_engine(candidate.engine, candidate.engine_version, self.book)
        return (*found, *gate_warnings(self.context.spec, engine, candidate.settings, self.book))

    def _dropped(self) -> Iterator[Trace]:
        for same in grouped((reason for rejection in self.rejected for reason in rejection.reasons), lambda reason: reason.row):
            row, because, source, read, at = same[0]
            yield Trace("reject", row, {"dropped": len(same)}, read, because, source, at)

    def _preferred(self, order: Order, contests: Contests) -> Iterator[Trace]:
        for step in order.steps:
            read = trace_of("prefer", step.row, {}, self.names, self.sources, self.book).read
            cost = contests.cost(step, order.best_first[0])
            did = {"among": step.among, "kept": step.kept, "dropped": len(step.dropped), "value": step.value, **({"costs": cost} if cost else {})}
            yield Trace("prefer", step.row.id, did, read, step.row.because, step.row.source, step.row.at)

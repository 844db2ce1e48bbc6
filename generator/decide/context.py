"""What one decision works with: the spec resolved against a rule book. Floor 5, pure but for the files that the spec names."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import field
from functools import cache, cached_property
from typing import Any

from generator.decide.extension import Extension, extended, extension_of
from generator.decide.pins import check_back_end, check_pins, with_todays_methods
from generator.decide.speculative import Speculation, speculation_of
from generator.errors import InputError, Problem, fail
from generator.facts.engine import Engine
from generator.facts.gpu import Gpu, resolve_gpu
from generator.facts.model import Model, resolve_model
from generator.facts.model_names import understood
from generator.facts.workload import Workload, resolve_workload
from generator.plan import Read, Reason, Trace
from generator.readers.problems import in_order
from generator.record import dataclass
from generator.rulebook.book import RuleBook
from generator.rulebook.memo import remembered
from generator.rulebook.table import Facts, Row, cell_words
from generator.sizing.footprint import Device, Numbers
from generator.spec.deployment import DeploymentSpec


@dataclass(frozen=True, slots=True, eq=False)
class Context:
    """One spec, resolved: its model, GPU and workload, and how the defaults came about.

    `thorough` considers methods in file formats that an engine does not read, too: they only matter to who asks why not.
    With `making`, a method's weights are made by a job even where they can be had. `kept` is what the lock chose, by the names of pins: the
    decision stays within it, and rules still read only what the spec pins. `extension` is a longer context by YaRN,
    `speculation` what drafts tokens. `memo` holds what the decision has worked out."""

    spec: DeploymentSpec
    book: RuleBook
    model: Model
    gpu: Gpu
    workload: Workload
    trace: tuple[Trace, ...]
    thorough: bool = False
    making: bool = False
    kept: Mapping[str, object] = field(default_factory=dict)
    extension: Extension | None = None
    speculation: Speculation | None = None
    memo: dict[object, object] = field(default_factory=dict)

    @property
    def gpus(self) -> int:
        """GPUs of the whole spec."""
        return self.spec.hardware.gpus_per_node * self.spec.hardware.nodes

    @property
    def task(self) -> str:
        """What the server does: generate, embed, rerank or classify."""
        return str(self.spec.serve.get("task") or self.model.task)

    def pinned(self, key: str) -> Any:
        """What the spec pins under a key, else what the lock chose, or None."""
        return self.spec.pin.get(key, self.kept.get(key))


@remembered
def shapes_of(context: Context) -> frozenset[str]:
    """What the support matrices tell apart of the model: `moe` or `dense`, and `hybrid`."""
    architecture = context.model.architecture
    return frozenset(("moe" if architecture.moe else "dense", *(("hybrid",) if architecture.hybrid else ())))


def resolve(
    spec: DeploymentSpec, book: RuleBook, thorough: bool = False, making: bool = False, kept: Mapping[str, object] | None = None
) -> Context:
    """Resolve a spec; raises `InputError` with everything that is unknown in it."""
    spec = with_todays_methods(spec, book)
    known = _all_or_errors(lambda: resolve_gpu(spec, book), lambda: (s := understood(spec, book), resolve_model(s, book)), lambda: check_pins(spec, book))
    gpu, (spec, model) = known[:2]
    extension = extension_of(spec, model, book.number("context.stretched_most") if "context_extension" in spec.serve else 1.0)
    if extension is not None:
        model = extended(model, extension)
    check_back_end(spec, book, gpu)
    defaults, trace = _defaults(spec, book, str(spec.serve.get("task") or model.task))
    workload = resolve_workload(spec, defaults, model.architecture.max_context)
    speculation = speculation_of(spec, model, book)
    return Context(spec, book, model, gpu, workload, trace, thorough, making or spec.quantize is not None, kept or {}, extension, speculation)


def _all_or_errors(*steps: Callable[[], Any]) -> list[Any]:
    """What each step returns; raises `InputError` with the problems of all that fail."""
    done: list[object] = []
    problems: list[Problem] = []
    for step in steps:
        try:
            done.append(step())
        except InputError as error:
            problems += error.problems
    if problems:
        raise InputError(in_order(problems))
    return done


def _defaults(spec: DeploymentSpec, book: RuleBook, task: str) -> tuple[dict[str, object], tuple[Trace, ...]]:
    """The workload's defaults, row by row: the profile first, since the other rows read it. Where nothing is generated, an answer is one token."""
    values: dict[str, object] = {key: spec.workload[key] for key in ("profile", "goal") if key in spec.workload}
    fixed = {"output_tokens": 1} if task != "generate" else {}
    values |= fixed
    trace: list[Trace] = []
    rows = book.tables["workload"].rows
    for _ in range(2):
        facts = {"profile": values.get("profile"), "goal": values.get("goal")}
        for row in rows:
            if row.id in {t.row for t in trace} or not row.matches(facts):
                continue
            did = {key: set_value(value, {}, book, None) for key, value in row.set.items()}
            values |= {key: value for key, value in did.items() if key not in values}
            shown = {key: value for key, value in did.items() if key not in spec.workload and key not in fixed}
            if shown:
                trace.append(trace_of("workload", row, {"set": shown}, facts, {}, book))
    for key in ("profile", "goal", "concurrency", "input_tokens", "output_tokens", "max_context"):
        if key not in values:
            raise fail("rules-gap", f"no row of the table `workload` sets {key} for the profile {values.get('profile')!r}")
    return values, tuple(trace)


def set_value(value: Any, facts: Facts, book: RuleBook, version: str | None) -> Any:
    """What a row sets: a threshold's number, a name's value, or the literal itself."""
    if isinstance(value, str):
        if value in book.thresholds:
            number = book.number(value, version)
            return int(number) if float(number).is_integer() and book.thresholds[value].get("unit") != "fraction" else number
        if value in facts:
            return facts[value]
    return value


def trace_of(step: str, row: Row, did: Mapping[str, object], facts: Facts, sources: Mapping[str, str | None], book: RuleBook) -> Trace:
    """A step of the decision as the trace keeps it."""
    return Trace(step, row.id, did, Reads(row, facts, sources, book), row.because, row.source, row.at)


class Reads(Mapping[str, Read]):
    """What a row read: the facts of its cells, and the thresholds that they name, each with its source. It is put together when somebody
    looks: of thousands of reasons, few are shown."""

    def __init__(self, row: Row, facts: Facts, sources: Mapping[str, str | None], book: RuleBook) -> None:
        self._row, self._facts, self._sources, self._book = row, facts, sources, book

    @cached_property
    def _all(self) -> dict[str, Read]:
        book, found = self._book, dict[str, Read]()
        for name, cell in self._row.when.items():
            value = self._facts.get(name)
            if isinstance(value, frozenset):  # of a set, the words that the cell asks for
                value &= cell_words(cell)
            found[name] = Read(value, self._sources.get(name) or (book.names.get(name) or {}).get("origin"))
            if isinstance(cell, dict) and "not" not in cell:
                for bound in cell.values():
                    if isinstance(bound, str):
                        threshold = book.threshold(bound)
                        found[bound] = Read(threshold["value"], threshold.get("source"))
        return found

    def __getitem__(self, name: str) -> Read:
        return self._all[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)


def reasons(table: str, stage: int, facts: Facts, sources: Mapping[str, str | None], book: RuleBook) -> tuple[Reason, ...]:
    """Reasons of the rows of a table that are decided at this stage; a row that only reads a cell of a matrix brings that cell's source."""

    def reason(row: Row) -> Reason:
        source = row.source or next((sources[name] for name in row.when if sources.get(name)), None)
        return Reason(row.id, row.because, source, Reads(row, facts, sources, book), row.at)

    return tuple(map(reason, book.tables[table].matching(facts, stage)))


@remembered
def numbers_of(book: RuleBook, version: str, older: tuple[tuple[str, str], ...] = ()) -> Numbers:
    """Thresholds for one engine version, each looked up once; those of `older` for the version that stands there."""
    versions = dict(older)
    return cache(lambda name: float(book.number(name, versions.get(name, version))))


@remembered
def device_of(context: Context) -> Device:
    """The spec's GPU as sizing sees it."""
    return context.gpu.device


@remembered
def numbers_for(context: Context, engine: Engine) -> Numbers:
    """Thresholds for an engine on the spec's GPU."""
    return numbers_of(context.book, engine.version, engine.older_numbers(device_of(context), context.model.architecture))


def kv_bits_of(book: RuleBook, dtype: str) -> float:
    """Bits of one cached value of a KV cache type, its scales included."""
    return float(book.section("kv_cache")["dtypes"][dtype].get("bits_per_value", 16.0))

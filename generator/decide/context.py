"""What one decision works with: the spec resolved against a rule book, every word that it pins, labels and passes through checked against
the catalogue and the gates, all problems at once. Floor 5, pure but for the files that the spec names."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import field, replace
from functools import cache, cached_property
from typing import Any

from generator.decide.extension import Extension, extended, extension_of
from generator.decide.speculative import Speculation, speculation_of
from generator.errors import InputError, Problem, did_you_mean, fail
from generator.facts.engine import Engine, back_ends_of, literally
from generator.facts.gpu import Gpu, resolve_gpu
from generator.facts.model import Model, resolve_model
from generator.facts.model_names import GGUF, understood
from generator.facts.workload import Workload, resolve_workload
from generator.plan import Read, Reason, Trace
from generator.quantity import in_span, version_key
from generator.readers.problems import in_order
from generator.record import dataclass
from generator.rulebook.book import RuleBook
from generator.rulebook.memo import remembered
from generator.rulebook.renamed import renamed
from generator.rulebook.table import LABELS, Facts, Row, cell_test, cell_words, first_source
from generator.sizing.footprint import Device, Numbers
from generator.spec.deployment import VERSION, DeploymentSpec


@dataclass(frozen=True, slots=True, eq=False)
class Context:
    """One spec, resolved: its model, GPU and workload, and how the defaults came about. `thorough` considers methods in file formats that
    an engine does not read, too: they only matter to who asks why not. With `making`, a method's weights are made by a job even where they
    can be had. `kept` is what the lock chose, by the names of pins: the decision stays within it, and rules still read only what the spec
    pins. `extension` is a longer context by YaRN, `speculation` what drafts tokens. `memo` holds what the decision has worked out."""

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


_GIVEN = ("host_memory_gib", "host_bandwidth_gb_per_s", "mig", "share_gib", "machine", "network", "download_mb_per_s", "disk_mb_per_s")


def normalised(context: Context) -> dict[str, object]:
    """The spec as it was understood, with its defaults, as plain data; what depends on the engine (port, image) is left to the candidate."""
    spec, workload = context.spec, context.workload
    model, hardware = spec.model, spec.hardware
    given = {
        "revision": model.revision, "config": model.config, "gguf": model.gguf, "safetensors": model.safetensors,
        "parameters": model.parameters, "path": model.path, "hub": model.hub, "checkpoints": dict(model.checkpoints) or None,
    }  # fmt: skip
    gpu: object = context.gpu.name if isinstance(hardware.gpu, str) or context.gpu.sizes else dict(hardware.gpu)
    return {
        "version": VERSION, "name": spec.name,
        "model": {"id": model.id if model.path else context.model.id, **{k: v for k, v in given.items() if v is not None}},
        **({"labels": dict(spec.labels)} if spec.labels else {}),
        "hardware": {
            "gpu": gpu, "gpus_per_node": hardware.gpus_per_node, "nodes": hardware.nodes,
            "memory_gib": round(context.gpu.capacity_gib, 2), "interconnect": context.gpu.interconnect,
            **{k: v for k in _GIVEN if (v := getattr(hardware, k)) is not None},
            **{k: list(v) for k in ("devices", "gpus") if (v := getattr(hardware, k))},
        },
        "workload": {
            "profile": workload.profile, "concurrency": "max" if workload.concurrency is None else workload.concurrency,
            "input_tokens": workload.input_tokens, "output_tokens": workload.output_tokens, "max_context": workload.max_context, "goal": workload.goal,
            **{k: spec.workload[k] for k in ("ttft_ms", "tpot_ms", "max_quality_loss_percent") if k in spec.workload},
        },
        **({"serve": dict(spec.serve)} if spec.serve else {}),
        "pin": dict(spec.pin),
        "deploy": {
            **dict(spec.deploy), "targets": list(spec.deploy.get("targets") or ("script", "compose")),
            "served_name": spec.deploy.get("served_name") or spec.name, "host": spec.deploy.get("host", "127.0.0.1"),
        },
    }  # fmt: skip


@remembered
def _rows(context: Context, engine: Engine) -> tuple[Mapping[str, Any], ...]:
    """The rows for the model and this version, by its id in the catalogue and by the classes and the family that its config.json names."""
    known, key = {context.model.listed or context.model.id, *context.model.classes}, version_key(engine.version)
    return tuple(row for row in engine.facts.get("for_models") or () if in_span(row, key) and not known.isdisjoint(row.get("models") or known))


def needs(context: Context, engine: Engine, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Settings that the model needs besides its config.json where the facts are these: each by the first row that holds. A row whose
    names are not known yet does not."""
    return {key: value for row in reversed([*_holding(context, engine, facts)]) for key, value in row["set"].items()}


def needed(context: Context, engine: Engine, facts: Mapping[str, Any], values: dict[str, Any]) -> list[Trace]:
    """Add to `values` the settings that no row of the rules sets and that this version has a word for; a step of the trace for each row."""
    trace = []
    for row in _holding(context, engine, facts):
        new = {key: value for key, value in row["set"].items() if key not in values and engine.has(key) and not any(engine.against(key, facts))}
        values |= new
        read = {name: Read(facts[name], None) for name in row.get("when") or () if not isinstance(facts[name], frozenset)}
        trace += [Trace("settings", "for-the-model", {"set": new}, read, row["because"], first_source(row["source"]))] if new else []
    return trace


def _holding(context: Context, engine: Engine, facts: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for row in _rows(context, engine):
        if all(name in facts and cell_test(cell, literally)(facts[name]) for name, cell in (row.get("when") or {}).items()):
            yield row


def with_todays_methods(spec: DeploymentSpec, book: RuleBook) -> DeploymentSpec:
    """The spec with today's names of the methods that it pins or names checkpoints of."""
    methods, pinned = book.section("methods"), spec.pin.get("quantization")
    words = {word: ("model", "checkpoints", word) for word in spec.model.checkpoints} | ({pinned: ("pin", "quantization")} if pinned else {})
    new = {word: renamed("methods", word, methods, spec.document.place(path, key=len(path) == 3)) for word, path in words.items() if word not in methods}
    if all(word == now for word, now in new.items()):
        return spec
    checkpoints = {new.get(method, method): target for method, target in spec.model.checkpoints.items()}
    pin = {**spec.pin, "quantization": new.get(pinned, pinned)} if pinned else spec.pin
    return replace(spec, pin=pin, model=replace(spec.model, checkpoints=checkpoints))


def check_pins(spec: DeploymentSpec, book: RuleBook) -> None:
    """Raise `InputError` for pins outside the catalogue, and for words that a label which the rule set declares may not have."""
    pin, problems = spec.pin, []
    engines, methods = book.section("engines"), book.section("methods")
    dtypes = book.section("kv_cache")["dtypes"]
    for key, known in (("engine", engines), ("quantization", (*methods, GGUF)), ("kv_cache_dtype", dtypes)):
        word = pin.get(key)
        if word is not None and word not in known:
            message = f"{word!r} is no {key.replace('_', ' ')}{did_you_mean(word, known)} (one of {', '.join(known)})"
            problems.append(spec.problem(("pin", key), f"unknown-{key.replace('_', '-')}", message))
    for name in book.labels:
        label, known = name.removeprefix(LABELS), book.names[name]["values"]
        word = spec.labels.get(label)
        if word is not None and word not in known:
            message = f"{word!r} is not a value of {name} in the rule set {book.name!r}{did_you_mean(word, known)} (one of {', '.join(known)})"
            problems.append(spec.problem(("labels", label), "unknown-label", message))
    if "engine_version" in pin and "engine" not in pin:
        problems.append(spec.problem(("pin", "engine_version"), "missing-key", "`engine_version` needs `engine`"))
    gpus = spec.hardware.gpus_per_node * spec.hardware.nodes
    wanted = pin.get("tensor_parallel", 1) * pin.get("pipeline_parallel", 1) * pin.get("data_parallel", 1)
    if wanted > gpus:
        key = "tensor_parallel" if "tensor_parallel" in pin else "pipeline_parallel"
        problems.append(spec.problem(("pin", key), "too-few-gpus", f"{wanted} GPUs are pinned, the spec has {gpus}"))
    copies = spec.deploy.get("replicas") or 1
    if wanted <= gpus < wanted * copies:
        each = f"{wanted} GPU{'s' if wanted > 1 else ''} each"
        problems.append(spec.problem(("deploy", "replicas"), "too-few-gpus", f"{copies} replicas of {each} are asked for, the spec has {gpus}"))
    for engine in spec.deploy.get("extra_args") or {}:
        if engine not in engines:
            place = spec.document.place(("deploy", "extra_args", engine), key=True)
            problems.append(Problem("unknown-engine", f"{engine!r} is no engine{did_you_mean(engine, engines)}", place))
    if spec.deploy.get("extra_args") or spec.deploy.get("env"):
        from generator.decide.gates import gate_problems  # few specs have either

        problems += gate_problems(spec, book)
    if problems:
        raise InputError(problems)


def check_back_end(spec: DeploymentSpec, book: RuleBook, gpu: Gpu) -> None:
    """Raise `InputError` for a pinned back end that this hardware, or the pinned engine, cannot use."""
    wanted, engine, engines = spec.pin.get("back_end"), spec.pin.get("engine"), book.section("engines")
    architecture = book.section("architectures")[gpu.architecture]
    known = list(dict.fromkeys(end for name in engines if engine in (None, name) for end in back_ends_of(engines[name], architecture)))
    if wanted is not None and wanted not in known:
        what = f"{wanted!r} is no back end of {engine or 'any engine'} on {architecture['title']}{did_you_mean(wanted, known)}"
        message = f"{what} ({'one of ' + ', '.join(known) if known else 'it has no choice of them'})"
        raise InputError(spec.problem(("pin", "back_end"), "unknown-back-end", message))

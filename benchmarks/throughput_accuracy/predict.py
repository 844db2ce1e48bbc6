"""What the speed model says for a published figure, by the same code that plans use."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.throughput_accuracy.rows import Case, architecture, cases, gpu_entry
from generator.decide.context import numbers_of
from generator.engines import ENGINES, cache_cost
from generator.facts.engine import back_ends_of
from generator.quantity import GIB
from generator.rulebook.book import RuleBook
from generator.sizing.footprint import Layout
from generator.throughput.estimate import Calibration, Setting, band_class, served
from generator.throughput.shapes import Demand, Split, cache_traffic, hardware_shape, model_shape
from generator.throughput.steps import LocalMachine, Machine, packing_of

FREE_SHARE, RUN_TIME_GIB, MOST = 0.93, 1.5, 2048
"""Of the memory beside the weights what holds keys and values, what a server takes besides, sequences that benchmarks allow."""

SAID = {"backend=Vulkan": "vulkan", "backend=ROCm": "hip"}
"""The back end of llama.cpp as a row's note says it."""


@dataclass(frozen=True)
class Prepared:
    """A case with the candidate that it measured; `most` sequences that its cache holds."""

    case: Case
    setting: Setting
    most: float
    other: Mapping[str, float] = field(default_factory=dict)
    """by metric, the estimate where all prompts are read together as a multiple of that of the case; only of engines whose band reaches there"""

    @property
    def word(self) -> str:
        """The class of its band."""
        running = self.most if self.case.concurrency is None else self.case.concurrency
        return band_class(self.setting, running).word


def prepare(path: Path, book: RuleBook) -> list[Prepared]:
    """Every row of a file that the catalogue understands, equal rows once."""
    calibration = Calibration(numbers_of(book, "0"))
    settings: dict[tuple[object, ...], tuple[Setting, float] | None] = {}
    seen: set[tuple[object, ...]] = set()
    found = []
    for case in cases(path):
        key = (case.model, case.gpu, case.method, case.tensor, case.pipeline, case.engine, case.kv_bits, _back_end(case))
        same = (*key, case.metric, case.concurrency, case.input_tokens, case.output_tokens, float(f"{case.value:.3g}"), case.group)
        if same in seen:
            continue
        seen.add(same)
        if key not in settings:
            settings[key] = _setting(case, book)
        known = settings[key]
        if known is None or known[0].unknown():
            continue
        setting, free = known
        if case.metric == "prefill_tps" and not can_prefill(setting, calibration):
            continue  # nobody says how fast this hardware computes: a plan gives no time to the first token either
        one = setting.cache.bytes_at(case.input_tokens + case.output_tokens)
        most = max(1.0, min(MOST, free / one)) if one else float(MOST)
        found.append(Prepared(case, setting, most, _other(case, setting, most, calibration)))
    return found


def _other(case: Case, setting: Setting, most: float, calibration: Calibration) -> dict[str, float]:
    if not ENGINES[case.engine].speed.prompts_first:
        return {}
    result = served(setting.machine(calibration), demand(case, most))
    return {"ttft": result.together.ttft / result.ttft, "tpot": result.together.tpot / result.tpot}


def demand(case: Case, most: float) -> Demand:
    """The load of a case."""
    return Demand(case.concurrency, case.input_tokens, case.output_tokens, most, case.burst)


def can_prefill(setting: Setting, calibration: Calibration) -> bool:
    """Whether the time of a prompt can be estimated."""
    machine = setting.machine(calibration)
    return not isinstance(machine, LocalMachine) or machine.knows_compute


def _back_end(case: Case) -> str:
    return next((word for said, word in SAID.items() if said in case.note), "")


def _setting(case: Case, book: RuleBook) -> tuple[Setting, float] | None:
    shape, gpu = architecture(case.model, book), gpu_entry(case.gpu, book)
    if shape is None or gpu is None or shape.attention_heads % case.tensor:
        return None  # more GPUs than heads divide by: expert and data parallelism, not what the row calls it
    method = book.section("methods")[case.method]
    model = model_shape(shape, method)
    if case.method.startswith("gguf"):
        from generator.sizing.gguf import gguf_sizes, placed

        parts = placed(gguf_sizes(shape, method, book.section("ggml_types")), shape.layers + 1)
        model = model._replace(dense_bytes=float(parts.gpu_dense), expert_bytes=float(parts.gpu_experts))
    generation = book.section("architectures")[gpu["architecture"]]
    ends = back_ends_of(book.section("engines")[case.engine], generation)
    hardware = hardware_shape(gpu, generation, method, numbers_of(book, "0"), across=case.nodes > 1, back_end=ends.get(_back_end(case)))
    layout = Layout(case.tensor, case.pipeline)
    cache = cache_traffic(cache_cost(shape, layout, case.kv_bits, case.engine))
    weights = (model.dense_bytes + model.expert_bytes) / layout.gpus + 2.0 * shape.vocab_size * shape.hidden_size / case.tensor
    capacity = float(gpu.get("capacity_gib") or gpu.get("memory_gb", 0.0) * 0.91) * GIB
    free = (capacity - weights) * FREE_SHARE - RUN_TIME_GIB * GIB
    split = Split(case.tensor, case.pipeline)
    return Setting(model, hardware, cache, split, case.engine, packing_of(case.method)), free


def predictions(found: Iterable[Prepared], calibration: Calibration) -> list[float]:
    """What the model says for each case, in the case's unit."""
    machines: dict[int, Machine | LocalMachine] = {}
    values = []
    for one in found:
        machine = machines.get(id(one.setting))
        if machine is None:
            machine = machines[id(one.setting)] = one.setting.machine(calibration)
        values.append(predict(one, machine))
    return values


def predict(one: Prepared, machine: Machine | LocalMachine) -> float:
    """One case: what its benchmark did, in the model's terms."""
    case = one.case
    middle = case.input_tokens + case.output_tokens / 2.0
    if case.metric in ("decode_tps", "prefill_tps"):
        if case.metric == "prefill_tps":
            return case.input_tokens / machine.prefill(case.input_tokens).total
        return 1.0 / machine.decode(1.0, middle).total
    if case.group.startswith("first token"):
        return machine.prefill(case.input_tokens).total * 1000.0
    if "static" in case.group:
        batch = float(case.concurrency or 1)
        step = machine.decode(batch, middle).total
        return batch * case.output_tokens / (machine.prefill(case.input_tokens, batch).total + case.output_tokens * step)
    result = served(machine, demand(case, one.most))
    if case.metric == "tpot":
        return result.tpot * 1000.0
    return result.ttft * 1000.0 if case.metric == "ttft" else result.output_per_second

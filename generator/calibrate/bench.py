"""A benchmark's result beside the estimate, and the factor of the speed model that would bring them together.

Floor 7; reads the results that it is given. Results of `vllm bench serve`, of `sglang.bench_serving`, of llama-bench
(`-o json`), and of the load that `bench.sh` makes."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from generator.calibrate.measure import files
from generator.decide.decision import Outcome
from generator.decide.performance import Speeds
from generator.engines import ENGINES, benchmarks
from generator.engines.llama_cpp import bench as llama_bench
from generator.engines.room import Result, figure_of
from generator.errors import InputError, Place, fail
from generator.plan import Candidate
from generator.readers.document import decode, read_bytes
from generator.readers.json_text import parse
from generator.render.plan_json import bounds, figure
from generator.render.templates import render
from generator.rulebook.book import RuleBook
from generator.throughput.estimate import LOCAL, Calibration, Setting, estimate
from generator.throughput.shapes import Demand, Range, Speed

HALVINGS, FARTHEST = 40, 4.0
"""Steps of the search for a factor, and the ratio beyond which a result is of another load or other hardware."""

MAX_BYTES = 8 << 20
"""A result has some kilobytes; with the times of every request, some megabytes."""

MOST_AT_ONCE, MOST_TOKENS = 65536, 1e7
"""Above these a figure is no concurrency, or no length of a request."""


class Compared(NamedTuple):
    """A figure: the estimate with its band beside the measurement."""

    name: str
    unit: str
    estimated: Range
    measured: float

    @property
    def ratio(self) -> float:
        """Measured over estimated."""
        return self.measured / self.estimated.value if self.estimated.value else 0.0

    @property
    def within(self) -> bool:
        """Whether the measurement lies in the band."""
        return self.estimated.low <= self.measured <= self.estimated.high


class Fitted(NamedTuple):
    """The threshold that would bring estimate and measurement together."""

    threshold: str
    was: float
    value: float


def read_result(path: Path) -> Result:
    """The result in a file of JSON, or the last of several lines of JSON; raises `InputError` for anything else."""
    place = Place(path.name)
    text = decode(read_bytes(path, MAX_BYTES), path.name)
    data = None
    for candidate in (text, text.rstrip().rpartition("\n")[2]):
        with suppress(InputError):
            data = parse(candidate, path.name, strict=False)  # benchmarks write NaN
            break
    if isinstance(data, list) and data and all(isinstance(test, dict) for test in data):
        return llama_bench.result(data, place)
    if not isinstance(data, dict):
        raise fail("not-a-result", "this is no result of a benchmark (JSON of vllm bench serve, sglang.bench_serving, llama-bench or bench.sh)", place)
    done, concurrency = figure_of(data, "completed"), figure_of(data, "max_concurrency", "concurrency")
    tokens_in, tokens_out = figure_of(data, "total_input_tokens", "total_input"), figure_of(data, "total_output_tokens", "total_output")
    if not done or not tokens_out or not concurrency:
        raise fail("not-a-result", "the result lacks completed requests, their tokens, or max_concurrency (run the benchmark with --max-concurrency)", place)
    if concurrency > MOST_AT_ONCE or max(tokens_in or 0.0, tokens_out) / done > MOST_TOKENS:
        raise fail("not-a-result", f"more than {MOST_AT_ONCE} requests at once, or of {MOST_TOKENS:.0e} tokens: no benchmark sends that", place)
    return Result(
        engine=_engine_of(data.get("backend")), concurrency=max(1, round(concurrency)), input_tokens=(tokens_in or 0.0) / done,
        output_tokens=tokens_out / done, output_per_second=figure_of(data, "output_throughput"), ttft_ms=figure_of(data, "mean_ttft_ms"),
        tpot_ms=figure_of(data, "mean_tpot_ms"),
    )  # fmt: skip


def _engine_of(backend: object) -> str | None:
    """The engine that a result names; `bench.sh` writes the engine's own name."""
    return next((engine for engine, own in benchmarks().items() if backend in own.backends), str(backend) if backend else None)


def measured_candidate(result: Result, outcome: Outcome) -> Candidate:
    """The candidate that was measured: the best of the result's engine; the choice where the result names no engine."""
    for one in outcome.ranked:
        if one.candidate.engine == result.engine:
            return one.candidate
    if result.engine is not None:
        raise fail("other-engine", f"the result is of {result.engine[:40]!r}, and no candidate of this spec is of that engine (pin.engine)")
    if outcome.plan.choice is None:
        raise fail("nothing-fits", "nothing of this spec can be deployed, so there is no estimate to compare with")
    return outcome.plan.choice


def compare(result: Result, candidate: Candidate, outcome: Outcome) -> tuple[list[Compared], Speed]:
    """Each figure that was measured beside its estimate, at the load of the measurement."""
    setting, calibration = _setting(candidate, outcome)
    speed = estimate(setting, _demand(result, candidate), calibration)
    if speed is None:
        raise fail("no-estimate", setting.unknown() or "the speed is not estimated")
    pairs = (
        ("output_tokens_per_second", "tokens/s", speed.output_tokens_per_second, result.output_per_second),
        ("tpot_ms", "ms", speed.tpot_ms, result.tpot_ms),
        ("ttft_ms", "ms", speed.ttft_ms, result.ttft_ms),
    )
    return [Compared(name, unit, value, found) for name, unit, value, found in pairs if value is not None and found is not None], speed


def _setting(candidate: Candidate, outcome: Outcome) -> tuple[Setting, Calibration]:
    speeds = Speeds(outcome.context)
    if speeds.calibration is None or candidate.memory is None:
        raise fail("no-estimate", "this rule set has no speed model")
    return speeds.setting(candidate), speeds.calibration


def _demand(result: Result, candidate: Candidate) -> Demand:
    # bench.sh asks for equal lengths: where prompts are read first, what ended together comes together
    waves = ENGINES[candidate.engine].speed.prompts_first
    tokens = result.input_tokens + result.output_tokens
    held = candidate.kv_cache.tokens / tokens if candidate.kv_cache and tokens else 0.0
    return Demand(result.concurrency, result.input_tokens, result.output_tokens, max(1.0, min(float(candidate.max_num_seqs), held)), waves)


def refit(result: Result, candidate: Candidate, outcome: Outcome) -> Fitted | None:
    """The one factor of this engine (or back end) with which the time per token, or the throughput, is as measured.

    None where nothing was measured that it decides, or where it would be farther than `FARTHEST` from what it is."""
    setting, calibration = _setting(candidate, outcome)
    local = candidate.engine in LOCAL
    name = f"speed.local.bandwidth.{setting.hardware.generation.back_end}" if local else f"speed.engine.{candidate.engine}"
    target, higher_is_slower = (result.tpot_ms or 0.0, not local) if result.tpot_ms else (result.output_per_second or 0.0, local)
    if not target:
        return None
    was, numbers = calibration.numbers(name), calibration.numbers

    def at(value: float) -> float:
        trial = Calibration(lambda key: value if key == name else numbers(key))
        speed = estimate(setting, _demand(result, candidate), trial)
        assert speed is not None  # `compare` would have said so
        return speed.tpot_ms.value if result.tpot_ms else speed.output_tokens_per_second.value

    low, high = was / FARTHEST, was * FARTHEST
    for _ in range(HALVINGS):
        middle = (low * high) ** 0.5
        low, high = (middle, high) if (at(middle) < target) is higher_is_slower else (low, middle)
    value = (low * high) ** 0.5
    if not 1.01 / FARTHEST < value / was < FARTHEST / 1.01:
        return None
    return Fitted(name, was, figure(value))


def text(data: Mapping[str, object], result: Result, found: list[Compared]) -> str:
    """The comparison for a terminal, of its plain data."""
    figures = [{**_as_json(one), "shown": figure(one.measured), "exact": one.ratio} for one in found]
    tokens = (result.input_tokens, result.output_tokens)
    return render("calibrate/bench.j2", **{**data, "figures": figures}, tokens=tokens, farthest=FARTHEST)


def as_json(name: str, candidate: Candidate, result: Result, found: list[Compared], speed: Speed, fitted: Fitted | None) -> dict[str, object]:
    """The comparison as plain data."""
    return {
        "result": name, "candidate": candidate.id, "concurrency": result.concurrency, "input_tokens": figure(result.input_tokens),
        "output_tokens": figure(result.output_tokens), "figures": list(map(_as_json, found)), "basis": speed.basis,
        "factor": fitted and fitted._asdict(),
    }  # fmt: skip


def _as_json(one: Compared) -> dict[str, object]:
    return {
        "name": one.name, "unit": one.unit, "estimated": figure(one.estimated.value), "error_band": bounds(one.estimated),
        "measured": one.measured, "ratio": round(one.ratio, 3), "within": one.within,
    }  # fmt: skip


def overlay(book: RuleBook, base: str, fitted: Fitted, name: str, day: str) -> dict[str, str]:
    """A rule set of the user's own with the measured factor: the text of its files by name."""
    entry = book.thresholds[fitted.threshold]
    threshold = {"meaning": entry["meaning"], "unit": entry["unit"], "value": fitted.value, "source": "measured-speed", "checked": day}
    source = {"title": f"Benchmark, measured by gen-deploy calibrate ({name})", "where": f"{name} of {day}", "read": day}
    numbers = "A factor measured from a benchmark; everything else is as in the rule set that this one extends."
    return files(base, "Factors measured from benchmarks", {"measured-speed": source}, "thresholds", {fitted.threshold: threshold}, numbers)

"""The estimate of one candidate's speed under a load, and how far measurements of its class lie from that. Floor 4, pure.

Of a batching server: tokens per second, time to the first token, time per token. In a closed loop each of C sequences asks again as soon as
it has its answer, so that over one request the server reads C prompts and decodes all C sequences `output_tokens` times. A band holds at
least four of five measurements of its class that the factors were not fitted to (`benchmarks/throughput_accuracy`). Where no measurement of
the class exists the nearest class stands in, wider."""

from __future__ import annotations

from typing import NamedTuple

from generator.engines import ENGINES
from generator.engines.room import EngineSpeed
from generator.errors import fail
from generator.sizing.footprint import Numbers
from generator.throughput.shapes import CacheTraffic, Demand, Drafting, HardwareShape, InHost, ModelShape, Range, Speed, Split
from generator.throughput.steps import LocalMachine, Machine, Packing, Step

TOGETHER = 0.5
"""Share of the others' prompts that a sequence waits for before its first token where all come at once and are read in turn: on
average, half. Those that one batch reads together wait for all of it, so the most is 1."""


class Arrival(NamedTuple):
    """Seconds under one way of arriving: of the first token, of each further one."""

    ttft: float
    tpot: float


class Served(NamedTuple):
    """Seconds and tokens/s of one replica; `running` sequences at once, of the `asked`; `prompts` is what they add to a token. `together`
    is what the times would be if all prompts were read in one batch; the output is the same."""

    output_per_second: float
    ttft: float
    tpot: float
    step: Step
    prompts: float
    running: float
    asked: float
    together: Arrival

    @property
    def limit(self) -> str:
        """What takes the largest part of a token's time; reading prompts is arithmetic."""
        return self.step._replace(compute=self.step.compute + self.prompts).limit


def _each_token(machine: Machine | LocalMachine, running: float, context: float) -> Step:
    """The time of a token of each sequence: of a step, or of its share of what a draft lets a step yield."""
    drafting = machine.drafting
    if drafting is None:
        return machine.decode(running, context)
    verified, draft, more = machine.decode(running, context, drafting.tokens + 1), machine.draft(drafting), drafting.each_step
    memory, compute, communication, host = ((one + other) / more for one, other in zip(verified[:4], draft[:4], strict=True))
    return Step(memory, compute, communication, host, verified.added)


def served(machine: Machine | LocalMachine, demand: Demand) -> Served:
    """One replica under its share of the load. Over its life a sequence makes its tokens and waits for the prompts of the others: for a
    share of them before its own first token, for the rest between its tokens, so that `ttft` + (output_tokens - 1) x `tpot` is the whole
    request whatever the share. With C asked and m places, a closed loop keeps all m busy: m / request answers a second, and by Little's law
    (C = rate x time) a request spends C / m x request here, of which it waits (C - m) / m x request for a place."""
    asked = demand.most if demand.concurrency is None else max(1.0, demand.concurrency / machine.split.replicas)
    running = max(1.0, min(asked, demand.most))
    answer = max(1.0, demand.output_tokens)
    step = _each_token(machine, running, demand.input_tokens + answer / 2.0)
    others = (running - 1.0) * machine.prefill_delay(demand.input_tokens)
    front = machine.first_base + (running - 1.0) * machine.first_sequence
    first = machine.prefill(demand.input_tokens).total + step.total

    request = front + first + others + (answer - 1.0) * step.total
    wait = (asked - running) / running * request

    def arriving(ahead: float) -> Arrival:
        """With that share of the others' prompts before the first token; a single token has nothing after it."""
        ahead = ahead if answer >= 2.0 else 1.0
        return Arrival(wait + front + first + ahead * others, step.total + (1.0 - ahead) * others / max(1.0, answer - 1.0))

    mine = arriving(TOGETHER if demand.burst else machine.queue)
    # where there is always a next request, the front end has it ready
    rate = running * answer / (request if demand.concurrency is not None else request - front)
    return Served(rate, mine.ttft, mine.tpot, step, mine.tpot - step.total, running, asked, arriving(1.0))


ASSUMED = "; the speed of the host's memory is assumed (hardware.host_bandwidth_gb_per_s says it), "


class Class(NamedTuple):
    """A class of measurements: its word in the thresholds, what a reader is told, whether its rows were measured, and
    whether the speed of the host's memory is assumed."""

    word: str
    said: str
    measured: bool
    host: bool = False

    def beside_host(self, band: str, known: bool) -> Class:
        """The class where the CPU reads a part of the weights: rows of all back ends together."""
        return Class(f"{band}.host" if known else f"{band}.host_assumed", f"{self.said}, weights in the host's memory", True, not known)

    @property
    def basis(self) -> str:
        """What the band rests on, for a reader."""
        few = "" if self.measured else "; few or no measurements of this case, so the band is wider"
        beside = "two channels of a desktop's" if self.measured else "so the band is very wide"
        return self.said + few + (ASSUMED + beside if self.host else "")


def class_of(engine: EngineSpeed, moe: bool, back_end: str | None, batch: float, data_centre: bool) -> Class:
    """The class of a candidate: engine and kind of model; for a local engine the back end and whether it batches."""
    kind = "mixture of experts" if moe else "dense"
    if back_end is not None:
        end = {"cuda": "cuda", "cuda_server": "cuda", "metal": "metal", "cpu": "cpu"}.get(back_end, "other")
        said = f"{engine.title}, {back_end.replace('_', ' ')}, one sequence at a time, {kind}"
        return Class(f"{engine.band}.{end}", said, batch <= 1 and not moe and end != "cpu")
    return Class(f"{engine.band}.{'moe' if moe else 'dense'}", f"{engine.title}, {kind}, data-centre GPUs", data_centre and engine.measured)


class Bands:
    """The bands of a rule set; each class's bounds are looked up once."""

    def __init__(self, numbers: Numbers) -> None:
        self._numbers = numbers
        self._known: dict[tuple[str, bool, bool, str], tuple[float, float]] = {}

    def around(self, value: float, found: Class, metric: str, other: float | None = None) -> Range:
        """The value with its bounds, for `tpot`, `ttft` or `throughput`; `other` is a second value that the bounds hold for too."""
        key = (found.word, found.measured, found.host, metric)
        known = self._known.get(key)
        if known is None:
            wider = 1.0 if found.measured else self._numbers("speed.band.unmeasured") * (self._numbers("speed.band.host") if found.host else 1.0)
            late = max(wider, self._numbers("speed.band.unmeasured_late")) if metric == "ttft" and not found.measured else wider
            low, high = (self._numbers(f"speed.band.{found.word}.{metric}.{end}") for end in ("low", "high"))
            if min(low, wider) <= 0.0:  # rates are inverses of times
                raise fail("bad-threshold", f"speed.band.{found.word}.{metric}.low and the factors that widen bands must be above 0")
            known = self._known[key] = (low / wider, high * late)
        other = value if other is None else other
        return Range(value, min(value, other) * known[0], max(value, other) * known[1])


LOCAL = frozenset(name for name, room in ENGINES.items() if room.speed.local)


class Calibration:
    """The thresholds that speed reads (what each means stands in `rules/physics/speed.yaml`), and the bands around its estimates."""

    def __init__(self, numbers: Numbers) -> None:
        self.numbers, self.bands = numbers, Bands(numbers)


class Setting(NamedTuple):
    """One candidate: model, hardware, cache and split, in an engine; `packing` of a GGUF, `in_host` what of it stays in the
    host's memory; `drafting` proposes tokens."""

    model: ModelShape
    hardware: HardwareShape
    cache: CacheTraffic
    split: Split
    engine: str
    packing: Packing = "plain"
    in_host: InHost = InHost()
    drafting: Drafting | None = None

    def unknown(self) -> str | None:
        """Why there is no estimate; None where there can be one."""
        if not self.hardware.bandwidth:
            return "the memory bandwidth of this hardware is not known (hardware.gpu as a mapping can give bandwidth_gb_per_s)"
        if self.engine not in LOCAL and not self.hardware.full_flops:
            return "the TFLOPS of this GPU are not known (hardware.gpu as a mapping can give fp16_tflops)"
        return None

    def machine(self, calibration: Calibration) -> Machine | LocalMachine:
        """What gives the time of a step."""
        machine = (
            LocalMachine(self.model, self.hardware, self.cache, self.split, self.packing, calibration.numbers, self.in_host)
            if self.engine in LOCAL
            else Machine(self.model, self.hardware, self.cache, self.split, self.engine, calibration.numbers)
        )
        machine.drafting = self.drafting
        return machine


class Compared(NamedTuple):
    """The values of an estimate without their bounds: all that a comparison of candidates needs."""

    output_tokens_per_second: float
    ttft_ms: float | None
    tpot_ms: float


def compared(setting: Setting, demand: Demand, calibration: Calibration) -> Compared | None:
    """The values of `estimate` alone, which take little more than half its time; None where there is none."""
    return None if setting.unknown() else _run(setting, demand, calibration)[0]


def _run(setting: Setting, demand: Demand, calibration: Calibration) -> tuple[Compared, Served]:
    machine = setting.machine(calibration)
    result = served(machine, demand)
    known = not isinstance(machine, LocalMachine) or machine.knows_compute
    output = result.output_per_second * _busy(setting, demand)
    return Compared(output, result.ttft * 1000.0 if known else None, result.tpot * 1000.0), result


def _busy(setting: Setting, demand: Demand) -> float:
    """Replicas with something to do."""
    replicas = float(setting.split.replicas)
    return replicas if demand.concurrency is None else min(replicas, float(demand.concurrency))


def estimate(setting: Setting, demand: Demand, calibration: Calibration) -> Speed | None:
    """Speed under a load; None where the hardware is not known well enough (`Setting.unknown` says why)."""
    if setting.unknown():
        return None
    values, result = _run(setting, demand, calibration)
    found, around = band_class(setting, result.running), calibration.bands.around
    # an engine that reads prompts first keeps together what came together, so its band reaches from one way of arriving to the other
    other = result.together if ENGINES[setting.engine].speed.prompts_first else result
    full = demand.concurrency is not None and result.running < result.asked
    return Speed(
        output_tokens_per_second=around(values.output_tokens_per_second, found, "throughput"),
        ttft_ms=None if values.ttft_ms is None else around(values.ttft_ms, found, "ttft", other.ttft * 1000.0),
        tpot_ms=around(values.tpot_ms, found, "tpot", other.tpot * 1000.0), limit="kv-capacity" if full else result.limit, basis=found.basis,
        concurrency=result.running * _busy(setting, demand), gpus=setting.split.gpus, asked=demand.concurrency,
    )  # fmt: skip


def band_class(setting: Setting, running: float) -> Class:
    """The class of measurements that a candidate belongs to, with `running` sequences at once."""
    hardware = setting.hardware
    linked = setting.split.tensor == 1 or hardware.link_kind == "nvlink"
    known = hardware.generation.measured and linked and not hardware.across
    end = hardware.generation.back_end if setting.engine in LOCAL else None
    found = class_of(ENGINES[setting.engine].speed, setting.model.experts > 0, end, running, known)
    if setting.drafting is not None:
        found = found._replace(measured=False)
    if hardware.assumed:
        return found._replace(measured=False, host=True)
    if setting.in_host.some:
        return found.beside_host(ENGINES[setting.engine].speed.band, hardware.host_known)
    return found


def most_within(setting: Setting, demand: Demand, calibration: Calibration, ttft_ms: float | None, tpot_ms: float | None, highest: int) -> int:
    """The highest concurrency (of the whole deployment) at which the estimates still meet the objectives; 0 where not even one does."""
    machine = setting.machine(calibration)

    def taken(concurrency: int) -> float:
        """The larger share of an objective that the estimate takes: up to 1 they hold."""
        result = served(machine, demand._replace(concurrency=concurrency))
        return max(result.tpot * 1000.0 / tpot_ms if tpot_ms else 0.0, result.ttft * 1000.0 / ttft_ms if ttft_ms else 0.0)

    low, high = 1, max(1, highest)
    at_low = taken(low)
    if at_low > 1.0:
        return 0
    at_high = taken(high)
    if at_high <= 1.0:
        return high
    tries = 0
    while high - low > 1:
        # times grow nearly in a straight line; where they do not, halving now and then bounds the search
        tries += 1
        share = (1.0 - at_low) / (at_high - at_low) if tries % 4 else 0.5
        middle = min(max(low + int((high - low) * share), low + 1), high - 1)
        found = taken(middle)
        if found <= 1.0:
            low, at_low = middle, found
        else:
            high, at_high = middle, found
    return low

"""The estimate of one candidate's speed under a load. Floor 4, pure."""

from __future__ import annotations

from typing import NamedTuple

from generator.engines import ENGINES
from generator.sizing.footprint import Numbers
from generator.throughput.bands import Bands, Class, class_of
from generator.throughput.local import LocalMachine, Packing
from generator.throughput.serving import Served, served
from generator.throughput.shapes import CacheTraffic, Demand, Drafting, HardwareShape, InHost, ModelShape, Speed, Split
from generator.throughput.steps import Machine

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

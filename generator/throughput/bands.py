"""How far measurements of a class lie from the estimate. Floor 4, pure. A band holds at least four of five measurements of its class that
the factors were not fitted to (`benchmarks/throughput_accuracy`). Where no measurement of the class exists the nearest class stands in,
wider."""

from __future__ import annotations

from typing import NamedTuple

from generator.engines.room import EngineSpeed
from generator.errors import fail
from generator.sizing.footprint import Numbers
from generator.throughput.shapes import Range

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

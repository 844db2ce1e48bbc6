"""What the speed model says of a server that was measured, on as many copies of it as a box has room for."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from benchmarks.measured import Figures, Server, Ways
from benchmarks.throughput_accuracy.predict import MOST, _setting
from benchmarks.throughput_accuracy.rows import NAMES, Case
from generator.decide.context import numbers_of
from generator.rulebook.book import RuleBook
from generator.throughput.estimate import Calibration, served
from generator.throughput.shapes import Demand

EIGHT_BIT_CACHE = ("tensorrt-llm", "sglang")
"""Engines that keep FP8 keys and values with low-precision weights."""

Estimator = Callable[[Server, Ways, int, float | None], Figures | None]


def estimator(book: RuleBook) -> Estimator:
    """A function of a server, its layout, the replicas and the load of the whole (None: the most)."""
    calibration = Calibration(numbers_of(book, "0"))

    @cache
    def known(server: Server, ways: Ways):  # type: ignore[no-untyped-def]
        bits = 8.0 if server.engine in EIGHT_BIT_CACHE and server.method in ("fp8", "nvfp4") else 16.0
        nodes = -(-ways.gpus // NAMES["gpus_of_a_node"].get(server.gpu, 8))
        case = Case(
            id="", source="", engine=server.engine, model=server.model, gpu=server.gpu, method=server.method, kv_bits=bits, tensor=ways.tensor,
            pipeline=ways.pipeline, nodes=nodes, input_tokens=server.input_tokens, output_tokens=server.output_tokens, concurrency=None,
            metric="tpot", value=1.0, group="", note="",
        )  # fmt: skip
        found = _setting(case, book)
        if found is None or found[0].unknown():
            return None
        setting, free = found
        return setting.machine(calibration), max(1.0, min(MOST, free / setting.cache.bytes_at(server.input_tokens + server.output_tokens)))

    def estimate(server: Server, ways: Ways, replicas: int, concurrency: float | None) -> Figures | None:
        machine = known(server, ways)
        if machine is None:
            return None
        demand = Demand(None if concurrency is None else concurrency / replicas, server.input_tokens, server.output_tokens, machine[1])  # type: ignore[arg-type]
        result = served(machine[0], demand)
        return Figures(result.output_per_second * replicas, result.tpot * 1000.0, result.ttft * 1000.0)

    return estimate

"""Speed and cost in lines, for a terminal and for PLAN.md. Every figure comes with its band and its basis. Floor 7, pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypedDict

from generator.plan import Candidate, Performance
from generator.render.plan_json import NO_FIRST, figure, speed_bounds
from generator.throughput.shapes import Range, Speed


class Price(TypedDict):
    """The user's price of a GPU, with its origin."""

    per_gpu_hour: float
    currency: str
    dated: str
    source: str


class Cost(Price):
    """The cost at a price."""

    per_million_output_tokens: float
    error_band: list[float]


def ranged(found: Range, unit: str) -> str:
    """A figure with its band: `1,230 (920 to 1,600) tokens/s`."""
    return f"{shown(found.value)} ({shown(found.low)} to {shown(found.high)}) {unit}"


def shown(value: float) -> str:
    """Three significant figures, with thousands separators."""
    value = figure(value)
    return f"{value:,.0f}" if value >= 100 else f"{value:g}"


def speed_lines(performance: Performance | None, machine: str = "GPU") -> Iterator[str]:
    """The estimated speed of a plan, in lines."""
    if performance is None:
        return
    speed = performance.speed
    if speed is None:
        if performance.unknown:
            yield f"speed: not estimated: {performance.unknown}"
        return
    first = f", first token {ranged(speed.ttft_ms, 'ms')}" if speed.ttft_ms else ""
    yield (
        f"speed (estimated, {concurrency_text(speed)}): {ranged(speed.output_tokens_per_second, 'output tokens/s')}, "
        f"{ranged(speed.tpot_ms, 'ms per token')}{first}"
    )
    if speed.ttft_ms is None:
        yield NO_FIRST
    if speed.waiting and speed.ttft_ms:
        yield "most of the time to first token is queueing: the concurrency exceeds the number of running sequences"
    limit = {"kv-capacity": "the number of running sequences (KV cache, max_num_seqs), which is below the concurrency", "host": "the host and kernel launches"}
    yield f"limited by {limit.get(speed.limit, speed.limit)}; bands from: {speed.basis}"
    if performance.within_objectives is not None:
        yield f"the objectives hold up to a concurrency of {performance.within_objectives}"
    yield ranged(speed.gpu_hours, f"{machine}-hours per million output tokens")


def concurrency_text(speed: Speed) -> str:
    """The concurrency in words: `concurrency 16`, or `concurrency 400, of which 8 run`."""
    running = f"{max(1.0, speed.concurrency):.0f}"
    return f"concurrency {speed.asked:,}, of which {running} run" if speed.waiting else f"concurrency {running}"


def cost_json(performance: Performance | None, price: Price | None) -> Cost | None:
    """The cost per million output tokens, if the user gave a price for this GPU."""
    if price is None or performance is None or performance.speed is None:
        return None
    hours, rate = performance.speed.gpu_hours, price["per_gpu_hour"]
    return {
        "per_million_output_tokens": figure(hours.value * rate),
        "error_band": [figure(hours.low * rate), figure(hours.high * rate)],
        **price,
    }


def cost_line(cost: Cost) -> str:
    """The cost in a line."""
    low, high = cost["error_band"]
    return (
        f"cost: {cost['per_million_output_tokens']:g} ({low:g} to {high:g}) {cost['currency']} per million output tokens, "
        f"at {cost['per_gpu_hour']:g} per GPU-hour (prices of {cost['dated']})"
    )


def curve_json(curve: Sequence[tuple[int, Speed]]) -> list[dict[str, object]]:
    """A curve as plain data: each concurrency with its speed."""
    return [
        {
            "concurrency": concurrency,
            "running": round(speed.concurrency),
            **{name: figure(getattr(speed, name).value) for name in ("output_tokens_per_second", "per_gpu", "per_user", "tpot_ms")},
            "ttft_ms": figure(speed.ttft_ms.value) if speed.ttft_ms else None,
            "limited_by": speed.limit,
            "error_band": speed_bounds(speed),
            "basis": speed.basis,
        }
        for concurrency, speed in curve
    ]


def curve_text(choice: Candidate | None, curve: Sequence[tuple[int, Speed]]) -> str:
    """A curve as a table, with the bands of each figure, or why there is none; the wording is in `templates/curve.j2`."""
    from generator.render.templates import render  # imported lazily: few plans are asked for their curve

    return render("curve.j2", choice=choice, curve=curve, shown=shown, no_first=NO_FIRST).rstrip("\n")

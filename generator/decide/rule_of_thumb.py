"""The rule of thumb: what the handbook would say, shown beside every detailed plan. Floor 5, pure. memory = FP16 GB × bits / 16 × (1 +
overhead), tokens/s = the GPU's base × the method's multiplier, ratio = bits / 32 (source `handbook`)."""

from __future__ import annotations

from generator.decide.context import Context
from generator.plan import KvCache
from generator.quantity import GB
from generator.rulebook.memo import remembered
from generator.sizing.footprint import Footprint

HALF_BITS = 16
SINGLE_BITS = 32


def fp16_gb(context: Context) -> float | None:
    """Decimal GB of the model in 16 bits; None for a model of unknown size."""
    model = context.model
    if model.basis == "fallback":
        return None
    return model.fp16_gb if model.fp16_gb is not None else model.billion * 2


@remembered
def thumb(context: Context, method: str) -> dict[str, float | None]:
    """The figures of the handbook for a method."""
    entry, book = context.book.section("methods")[method], context.book
    bits = float(entry["weight_bits"])
    size = fp16_gb(context)
    gpu = context.book.section("gpus").get(context.gpu.name) or {}
    if not gpu.get("handbook") and (fallback := book.fallback("gpu")):
        gpu = book.section("gpus")[fallback]
    base = (gpu.get("handbook") or {}).get("tokens_per_second")
    speed = (entry.get("handbook") or {}).get("speed")
    overhead = book.number("thumb.overhead")
    return {
        "memory_gb": None if size is None else round(size * bits / HALF_BITS * (1 + overhead), 2),
        "tokens_per_second": None if base is None or speed is None else round(base * speed, 1),
        "memory_ratio": bits / SINGLE_BITS,
    }


def thumb_footprint(context: Context, method: str) -> tuple[Footprint, KvCache]:
    """The same as a footprint, for a rule set that sizes by the rule of thumb: all overhead counts as run-time."""
    size = fp16_gb(context) or 0.0
    bits = float(context.book.section("methods")[method]["weight_bits"])
    weights = int(size * GB * bits / HALF_BITS)
    overhead = int(weights * context.book.number("thumb.overhead"))
    gpu = context.book.section("gpus").get(context.gpu.name) or {}
    if not context.gpu.listed and (fallback := context.book.fallback("gpu")):
        gpu = context.book.section("gpus")[fallback]
    gb = (gpu.get("handbook") or {}).get("memory_gb") or context.gpu.memory_gb
    capacity = int(gb * GB)
    return Footprint(weights, 0, 0, 0, 0, overhead, capacity, capacity), KvCache(0, 0, 0.0)

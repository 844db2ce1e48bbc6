"""What all decisions of a comparison come to: GPUs, cost, quality loss and objectives, before and after. Floor 7, pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import prod
from typing import NamedTuple

from generator.compare.model import Totals
from generator.compare.view import LAYOUT, View
from generator.report.speed import Price

MISSED = "objective-missed"
"""The warning of a choice that misses an objective of its spec."""


class Figures(NamedTuple):
    """One decision: its GPUs, its quality loss in percent, whether it misses an objective, and its cost per hour; None if unknown."""

    gpus: int = 0
    loss: float | None = None
    missed: bool = False
    cost: float | None = None


def figures(plan: View | None, prices: Mapping[str, Price]) -> Figures:
    """The figures of a plan; nothing where nothing fits."""
    choice = (plan or {}).get("choice")
    if plan is None or not choice:
        return Figures()
    gpu = plan.get("gpu")
    gpus = 0 if gpu == "cpu" else prod(choice.get(key) or 1 for key in LAYOUT)
    price = prices.get(gpu) if isinstance(gpu, str) else None
    loss = ((plan.get("quality") or {}).get("loss_percent") or {}).get("value")
    missed = any(warning.get("id") == MISSED for warning in plan.get("warnings") or [])
    return Figures(gpus, loss, missed, price["per_gpu_hour"] * gpus if price else None)


def totals(found: Iterable[tuple[str, Figures, Figures]], prices: Mapping[str, Price]) -> Totals:
    """The sums over the specs, each with its name and its figures before and after; one file of prices has one currency."""
    rows = list(found)
    losses = [[(figure.loss, name) for name, *both in rows if (figure := both[side]).loss is not None] for side in (0, 1)]
    priced = [(old.cost, new.cost) for _, old, new in rows if old.cost is not None or new.cost is not None]
    worst = [max(side, key=lambda pair: pair[0] or 0.0, default=(None, "")) for side in losses]
    return Totals(
        gpus=(sum(old.gpus for _, old, _ in rows), sum(new.gpus for _, _, new in rows)),
        loss=(worst[0][0], worst[1][0]),
        worst=worst[1][1],
        missed=tuple(name for name, old, new in rows if new.missed and not old.missed),
        cost=(sum(old or 0.0 for old, _ in priced), sum(new or 0.0 for _, new in priced)) if priced else None,
        priced=len(priced),
        currency=next((price["currency"] for price in prices.values()), ""),
    )

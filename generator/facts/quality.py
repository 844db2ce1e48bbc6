"""Published quality loss of a method, by the size of the model. Floor 3, pure."""

from __future__ import annotations

from typing import NamedTuple

from generator.rulebook.book import RuleBook
from generator.rulebook.table import first_source


class Quality(NamedTuple):
    """Loss against 16 bits in percent, from published evaluations; None where there is none."""

    value: float | None = None
    low: float | None = None
    high: float | None = None
    source: str | None = None


UNMEASURED = Quality()


def quality_of(book: RuleBook, method: str, billion: float, experts: str | None = None) -> Quality:
    """The row for this method whose class of sizes (in billions of parameters) holds the model; empty where there is none. `experts` is the
    type in which every GGUF of the model has its experts: some rows hold only there."""
    for row in book.quality.get(method, ()):
        if row.get("experts") in (None, experts) and row["models_from_billion"] <= billion < row.get("models_below_billion", float("inf")):
            loss = row["loss_percent"]
            return Quality(loss["value"], loss["low"], loss["high"], first_source(row.get("source")))
    return Quality()

"""Published quality loss of a method, by the size of the model.

Floor 2, pure.
"""

from __future__ import annotations

from generator.facts.sources import first_source
from generator.plan import Quality
from generator.rulebook import RuleBook


def quality_of(book: RuleBook, method: str, billion: float) -> Quality:
    """The row for this method whose class of sizes (in billions of parameters) holds the model; empty where there is none."""
    for row in book.quality.get(method, ()):
        if row["models_from_billion"] <= billion < row.get("models_below_billion", float("inf")):
            loss = row["loss_percent"]
            return Quality(loss["value"], loss["low"], loss["high"], first_source(row.get("source")))
    return Quality()

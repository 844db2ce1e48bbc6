"""Published quality loss of a method, by the size of the model.

Floor 2, pure.
"""

from __future__ import annotations

from generator.plan import Quality
from generator.rulebook import RuleBook


def quality_of(book: RuleBook, method: str, billion: float) -> Quality:
    """The row for this method whose class of sizes (in billions of parameters) holds the model; empty where there is none."""
    for row in book.quality.get(method, ()):
        if row["models_from_billion"] <= billion < row.get("models_below_billion", float("inf")):
            loss, source = row["loss_percent"], row.get("source") or [None]
            return Quality(loss["value"], loss["low"], loss["high"], source[0] if isinstance(source, list) else source)
    return Quality()

"""Quality loss of a method: measured with this model, else published by the size of the model. Floor 3, pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from generator.rulebook.book import RuleBook
from generator.rulebook.table import first_source

if TYPE_CHECKING:
    from generator.rulebook import sections as typed


class Quality(NamedTuple):
    """Loss against 16 bits in percent, from published evaluations; None where there is none. `of`: the models, sizes and scores that it is of.
    `measured`: by the owner of the rule set, with this model."""

    value: float | None = None
    low: float | None = None
    high: float | None = None
    source: str | None = None
    of: str | None = None
    measured: bool = False


UNMEASURED = Quality()


def quality_of(book: RuleBook, method: str, model: str, billion: float, experts: str | None = None) -> Quality:
    """What was measured of this method with this `model`, else the row whose class of sizes (in billions of parameters) holds it; empty where
    there is none. `experts` is the type in which every GGUF of the model has its experts: some rows hold only there."""
    rows = book.quality.get(method, ())
    for row in (*(row for row in rows if row.get("model") == model), *(row for row in rows if "model" not in row)):
        if row.get("experts") in (None, experts) and row["models_from_billion"] <= billion < row.get("models_below_billion", float("inf")):
            loss = row["loss_percent"]
            return Quality(loss["value"], loss["low"], loss["high"], first_source(row.get("source")), _of(row), "model" in row)
    return Quality()


def _of(row: typed.Quality) -> str:
    """`lost share of …; models of 3 to 30 billion: A, B`: what a figure is of."""
    low, high, models = row["models_from_billion"], row.get("models_below_billion"), row.get("models") or ()
    size = "" if not models else f"; {low:g} to {high:g} billion parameters" if high else f"; {low:g} billion parameters and more" if low else ""
    return f"{row['metric']}{size}" + (f": {', '.join(models)}" if models else "")

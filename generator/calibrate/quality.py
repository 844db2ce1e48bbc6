"""A measured loss of quality beside the published one, and as a fact of the model and the method that it is of.

Floor 7; reads the results of `eval.sh` that it is given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from math import isfinite, sqrt
from pathlib import Path
from typing import Any

from generator.calibrate.measure import files
from generator.decide.context import Context
from generator.errors import Place, fail, printable
from generator.facts.quality import Quality, quality_of
from generator.readers.document import decode, read_bytes
from generator.readers.json_text import parse
from generator.readers.resources import shipped
from generator.record import dataclass
from generator.render.templates import render

MAX_BYTES = 1 << 20
PERPLEXITY = "perplexity"


@dataclass(frozen=True, slots=True)
class Loss:
    """A loss in percent with its interval (two standard errors), from `items` of `tasks` (scored tokens, for the perplexity)."""

    file: str
    model: str
    method: str
    day: str
    engine: str
    tasks: tuple[str, ...]
    items: int
    value: float
    low: float
    high: float

    @property
    def metric(self) -> str:
        """What the figure is, and of how much."""
        if self.tasks == (PERPLEXITY,):
            return f"increase of perplexity in percent, {self.items} tokens"
        return f"lost share of the score of {', '.join(self.tasks)}, {self.items} items"


def read_loss(path: Path, context: Context) -> Loss:
    """The loss that a result says of this spec's model; raises `InputError` for what is no result, and for one that cannot be attributed:
    of another model, of an unknown method, without a baseline, from too small a sample."""
    place, book, model = Place(path.name), context.book, context.model
    data: Any = parse(decode(read_bytes(path, MAX_BYTES), path.name), path.name, strict=False)
    try:
        if data["schema_version"] != 1:
            raise ValueError("schema_version")
        day, method, engine, found = date.fromisoformat(data["date"]).isoformat(), str(data["method"]), str(data["engine"]), str(data["model"])
        rows = [_row(row) for row in data["tasks"] if row["loss_percent"] is not None]
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise fail("not-a-result", f"this is no result of eval.sh ({printable(str(error))[:80]})", place) from None
    if found != model.id:
        raise fail("other-model", f"the result is of {printable(found)[:80]!r}, and the spec of {model.id!r}: a loss is a fact of one model", place)
    methods = book.section("methods")
    if method not in methods:
        raise fail("unknown-method", f"the result is of the method {printable(method)[:40]!r}, which this rule set does not know", place)
    if not rows:
        raise fail("no-baseline", "no task has a baseline: run `eval.sh --baseline` at a server with the 16-bit model (GGUF: `eval.sh --source FILE`)", place)
    by_text = shipped("evaluation.json")["scale"].get(methods[method]["family"]) == PERPLEXITY
    most, tokens, least = map(book.number, ("quality.widest", "quality.least_tokens", "quality.least_items"))
    enough = [row for row in rows if row[1] >= (tokens if row[0] == PERPLEXITY else least)]
    text, scores = [row for row in enough if row[0] == PERPLEXITY], [row for row in enough if row[0] != PERPLEXITY]
    used = (text or scores) if by_text else (scores or text)
    value, half = (sum(row[2] for row in used) / len(used), sqrt(sum(row[3] ** 2 for row in used)) / len(used)) if used else (0.0, 0.0)
    if not used or half > most:
        counted = ", ".join(f"{name} {count}" for name, count, _, _ in rows)
        wide = f"±{half:.1f} %, at most {most:g} is of use" if used else f"at least {tokens:g} tokens or {least:g} items"
        raise fail("small-sample", f"too small a sample ({counted}): {wide}; run eval.sh with a larger --limit or --text", place)
    names = tuple(row[0] for row in used)
    items = sum(row[1] for row in used)
    return Loss(path.name, found, method, day, engine, names, items, *(float(f"{one:.4g}") for one in (value, value - half, value + half)))


def _row(row: Mapping[str, Any]) -> tuple[str, int, float, float]:
    """Task, items, loss and half its interval; raises `ValueError` for what no task says."""
    low, high = map(float, row["interval"])
    loss, items = float(row["loss_percent"]), int(row["items"])
    if not all(map(isfinite, (loss, low, high))) or not low <= loss <= high or not 0 < items < 10**9:
        raise ValueError(f"loss of {row['task']}")
    return str(row["task"]), items, loss, (high - low) / 2


def published(loss: Loss, context: Context) -> Quality:
    """What the rules hold of the method for this model until now."""
    return quality_of(context.book, loss.method, context.model.id, context.model.billion, context.model.architecture.gguf_experts)


def as_json(loss: Loss, before: Quality) -> dict[str, object]:
    """Measured beside published, as plain data."""
    return {
        "result": loss.file, "model": loss.model, "method": loss.method, "date": loss.day, "metric": loss.metric,
        "measured": {"value": loss.value, "low": loss.low, "high": loss.high},
        "published": {"value": before.value, "low": before.low, "high": before.high, "of": before.of, "source": before.source},
    }  # fmt: skip


def text(data: Mapping[str, object]) -> str:
    """The comparison for a terminal, of its plain data."""
    return render("calibrate/quality.j2", **data)


def overlay(base: str, losses: Sequence[Loss]) -> dict[str, str]:
    """A rule set of the user's own with the measured losses: the text of its files by name."""
    sources, rows = dict[str, Mapping[str, str]](), []
    for number, one in enumerate(losses, 1):
        source = f"measured-quality-{one.day}-{number}"
        sources[source] = {"title": f"Evaluation by eval.sh, {one.engine} ({one.file})", "where": f"{one.file} of {one.day}", "read": one.day}
        rows.append({
            "method": one.method, "model": one.model, "models_from_billion": 0, "loss_percent": {"value": one.value, "low": one.low, "high": one.high},
            "metric": f"{one.metric}, {one.day}", "rows": one.items, "source": [source],
        })  # fmt: skip
    if len({(one.model, one.method) for one in losses}) < len(losses):
        raise fail("same-method", "two results are of the same method: give the better one")
    return files(base, "Losses measured with eval.sh", sources, "quality", rows, "Measured losses of quality: they go before what is published.")

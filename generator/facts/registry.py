"""What an engine's own model registry says of a model: whether this version loads it, and whether it needs the repository's code. Floor 3,
pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

from generator.facts.engine import Engine
from generator.facts.model import Model
from generator.quantity import version_key
from generator.rulebook.book import RuleBook
from generator.rulebook.memo import remembered

Standing = Literal["loads", "newer", "older", "never", "unknown"]
"""`newer`, `older`: only versions after or before this one load the model; `never`: no listed one does; `unknown`: the registry is not known."""

Span = Mapping[str, object]


def standing(book: RuleBook, engine: Engine, model: Model) -> Standing:
    """Whether this version of an engine loads a model, by its `architectures` or its family (`model_type`)."""
    return _standing(book, engine, model.classes)


def needs_code(book: RuleBook, engine: Engine, model: Model) -> bool:
    """Whether an engine runs code of the model's repository: for its tokenizer, or for what the engine does not have itself."""
    if not model.needs_remote_code or model.tokenizer_code:
        return model.needs_remote_code
    entry = book.section("registry").get(engine.name, {})
    known = any(_holds(span, engine.version) for span in _spans(entry.get("configs", ()), model.classes))
    return not known or standing(book, engine, model) != "loads"


@remembered
def _standing(book: RuleBook, engine: Engine, classes: tuple[str, ...]) -> Standing:
    entry = book.section("registry").get(engine.name)
    if entry is None or not classes:
        return "unknown"
    found = _spans(entry["architectures"], classes)
    if not found:
        return "never" if entry.get("complete") else "unknown"
    if any(_holds(span, engine.version) for span in found):
        return "loads"
    key = version_key(engine.version)
    return "newer" if any("since" in span and version_key(str(span["since"])) > key for span in found) else "older"


def _spans(spans: Iterable[Span], classes: tuple[str, ...]) -> list[Span]:
    return [span for span in spans if any(name in span["names"] for name in classes)]  # type: ignore[operator]  # a list


def _holds(span: Span, version: str) -> bool:
    key = version_key(version)
    return version_key(str(span.get("since", "0"))) <= key and ("until" not in span or key < version_key(str(span["until"])))

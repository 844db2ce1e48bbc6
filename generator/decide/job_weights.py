"""Weights that a job of the plan makes: whether there is a tool for it, and which. Floor 5, pure. Which tool, and what it looks at, is said
by the rows of `quantize`; the spec's own `quantize` goes first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from generator.architecture.shape import ModelArchitecture
from generator.decide.context import Context
from generator.decide.settings import collected
from generator.facts.engine import Engine
from generator.plan import Value
from generator.record import dataclass
from generator.rulebook.table import Facts, Row

if TYPE_CHECKING:  # every start would pay for building the types
    from generator.rulebook.sections import Method

MADE = "made"
SIXTEEN_BIT_GGUF = ("gguf-bf16", "gguf-f16")
TOOLS_OF_GGUF = ("llama.cpp", "ollama")


@dataclass(frozen=True, slots=True)
class Made:
    """One checkpoint that a job would make. `method` is the entry of `methods` that sizes it, `architecture` the model as stored."""

    tool: str
    values: Mapping[str, Value]
    method: Method
    architecture: ModelArchitecture
    layout: str
    ignore: tuple[str, ...] = ()
    group_size: int | None = None
    quantization: Mapping[str, object] | None = None


def comes_last(rows: list[Row]) -> bool:
    """Whether what a job would have to make is taken only where nothing else works, so that it need not be looked at before. That is so
    where the first preference puts `made` behind every other origin of weights."""
    order = rows[0].order if rows else None
    if order is None or order[0] != "weights.origin" or MADE not in order[1]:
        return False
    places = order[1]
    return all(places.get(word, len(places)) < places[MADE] for word in ("given", "named", "published", "native", "online"))


def asked(context: Context) -> Mapping[str, Any]:
    """What the spec says of the job."""
    return context.spec.quantize or {}


def values_for(context: Context, engine: Engine, method: str, names: Facts) -> Mapping[str, Value] | None:
    """What the rows of `quantize` set for a pair, with what the spec says laid over; None where no tool makes it."""
    book = context.book
    if "quantize" not in book.tables or (context.model.config is None and not gguf_source(context)):
        return None
    values = collected("quantize", names, {}, book, engine.version)[0]
    name = str(asked(context).get("tool") or values.get("quantize_tool") or "")
    tool = book.section("quantizers").get(name)
    if tool is None:
        return None
    if name in TOOLS_OF_GGUF:
        makes = book.section("methods")[method]["family"] == "gguf" and (name != "ollama" or method in tool["types"])
        makes = makes and (name != "ollama" or engine.name == "ollama")  # it quantises as it creates: no file is left for others
    else:
        makes = method in tool["makes"] and context.model.architecture.model_type not in (tool["makes"][method].get("not_for") or ())
        makes = makes and not gguf_source(context)
    return {**values, "quantize_tool": name} if makes else None


def gguf_source(context: Context) -> bool:
    """Whether the model itself is a GGUF file in 16 bits, from which others can be made."""
    return context.model.own_method in SIXTEEN_BIT_GGUF and bool(context.spec.model.gguf)


def can_be_source(context: Context) -> bool:
    """Whether the model's own weights are in 16 bits, so that others can be made of them."""
    return context.model.own_method is None or gguf_source(context)

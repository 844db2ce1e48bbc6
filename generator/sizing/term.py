"""Figures that remember how they were made: a memory law runs on plain numbers to decide, and on these to explain. Floor 3, pure. A law is
written once, in plain arithmetic and the functions below. Handed numbers, it costs what arithmetic costs; handed `Term`s (`leaf`,
`watched`), the same law returns a tree: formula, inputs with their sources, and the parts that it named."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from typing import NamedTuple, TypeVar, cast

from generator.quantity import GIB, MIB

T = TypeVar("T")
N = TypeVar("N", bound=float)
"""An int, a float, or a `Term` in place of either."""

_SUM, _PRODUCT, _ATOM = 1, 2, 3
_LITERALS = {GIB: "GiB", MIB: "MiB"}


class Input(NamedTuple):
    """What a symbol of a formula stands for, and the source key of a number that somebody measured."""

    value: float
    source: str | None = None


class MemoryTerm(NamedTuple):
    """One term as it is shown, in bytes on the fullest GPU: `formula` gives `bytes` from `inputs` and from the parts, by their names."""

    name: str
    bytes: float
    formula: str
    inputs: Mapping[str, Input]
    parts: tuple[MemoryTerm, ...]
    source: str | None


class Term(float):
    """A number with its formula. Arithmetic with it makes new ones; `opposite` makes the idiom of `ceil_div` readable."""

    __slots__ = ("formula", "inputs", "level", "opposite", "parts")
    formula: str
    level: int
    inputs: Mapping[str, Input]
    parts: Mapping[str, Term]
    opposite: Term | None

    def __new__(cls, value: float, formula: str, level: int, inputs: Mapping[str, Input], parts: Mapping[str, Term], opposite: Term | None = None) -> Term:
        made = super().__new__(cls, value)
        made.formula, made.level, made.inputs, made.parts, made.opposite = formula, level, inputs, parts, opposite
        return made

    def __add__(self, other: float) -> Term:
        return self if other == 0 and not isinstance(other, Term) else _joined(float(self) + float(other), self, "+", other, _SUM)

    def __radd__(self, other: float) -> Term:
        return self if other == 0 else _joined(float(other) + float(self), other, "+", self, _SUM)

    def __sub__(self, other: float) -> Term:
        return self if other == 0 and not isinstance(other, Term) else _joined(float(self) - float(other), self, "-", other, _SUM)

    def __rsub__(self, other: float) -> Term:
        return _joined(float(other) - float(self), other, "-", self, _SUM)

    def __mul__(self, other: float) -> Term:
        return self if other == 1 and not isinstance(other, Term) else _joined(float(self) * float(other), self, "·", other, _PRODUCT)

    def __rmul__(self, other: float) -> Term:
        return self if other == 1 else _joined(float(other) * float(self), other, "·", self, _PRODUCT)

    def __truediv__(self, other: float) -> Term:
        return self if other == 1 and not isinstance(other, Term) else _joined(float(self) / float(other), self, "/", other, _PRODUCT)

    def __rtruediv__(self, other: float) -> Term:
        return _joined(float(other) / float(self), other, "/", self, _PRODUCT)

    def __neg__(self) -> Term:
        return self.opposite or Term(-float(self), f"-{_text(self, _ATOM)}", _PRODUCT, self.inputs, self.parts, self)

    def __floordiv__(self, other: float) -> Term:
        floored = _bracketed(float(self) // float(other), "⌊⌋", self, other)
        if self.opposite is not None:
            floored.opposite = _bracketed(-float(floored), "⌈⌉", self.opposite, other)
        return floored

    def __ceil__(self) -> Term:  # type: ignore[override]  # `math.ceil` returns what this returns
        return Term(ceil(float(self)), f"⌈{self.formula}⌉", _ATOM, self.inputs, self.parts)

    def shown(self, name: str, source: str | None = None) -> MemoryTerm:
        """This term under a name, with its parts; the source is its own, else that of its first input that has one, else of its largest part."""
        parts = tuple(part.shown(inner) for inner, part in self.parts.items())
        found = source or next((one.source for one in self.inputs.values() if one.source), None)
        by_size = sorted(parts, key=lambda one: one.bytes, reverse=True)
        return MemoryTerm(name, float(self), self.formula, dict(self.inputs), parts, found or next((one.source for one in by_size if one.source), None))


def leaf(symbol: str, value: N, source: str | None = None) -> N:
    """A number of its own under a symbol: a `Term` in its place."""
    return cast(N, Term(value, symbol, _ATOM, {symbol: Input(float(value), source)}, {}))


def part(name: str, value: N) -> N:
    """A step of a law that deserves a name: it stands under that name in the formula, with its own formula beside it."""
    return cast(N, Term(value, name, _ATOM, {}, {name: value})) if isinstance(value, Term) else value


def largest(*values: N) -> N:
    """`max`, which a term shows with all that was compared."""
    return _compared("max", max(values), values)


def smallest(*values: N) -> N:
    """`min`, which a term shows with all that was compared."""
    return _compared("min", min(values), values)


def whole(value: float) -> int:
    """Whole bytes: what comes after the point is dropped, and not shown."""
    return cast(int, Term(int(value), value.formula, value.level, value.inputs, value.parts)) if type(value) is Term else int(value)


def watched(what: T, symbols: Mapping[str, str] | None = None) -> T:
    """An object whose numbers are terms, under their names as symbols (or the names given here); all else is as it is."""
    return cast(T, _Watched(what, symbols))


class _Watched:
    def __init__(self, watched: object, symbols: Mapping[str, str] | None = None) -> None:
        self._watched, self._symbols = watched, symbols or {}

    def __getattr__(self, name: str) -> object:
        value = getattr(self._watched, name)
        return leaf(self._symbols.get(name, name), value) if type(value) is int or type(value) is float else value


def _text(value: float, level: int) -> str:
    if not isinstance(value, Term):
        return _LITERALS.get(int(value)) or f"{value:.12g}" if value == int(value) else f"{value:.12g}"
    return value.formula if value.level >= level else f"({value.formula})"


def _joined(value: float, left: float, sign: str, right: float, level: int) -> Term:
    text = f"{_text(left, level)} {sign} {_text(right, level + (sign in '-/'))}"
    return Term(value, text, level, *_merged((left, right)))


def _bracketed(value: float, brackets: str, left: float, right: float) -> Term:
    return Term(value, f"{brackets[0]}{_text(left, _PRODUCT)} / {_text(right, _ATOM)}{brackets[1]}", _ATOM, *_merged((left, right)))


def _compared(name: str, found: N, values: tuple[N, ...]) -> N:
    for value in values:
        if type(value) is Term:
            return cast(N, Term(float(found), f"{name}({', '.join(_text(one, _SUM) for one in values)})", _ATOM, *_merged(values)))
    return found


def _merged(values: tuple[float, ...]) -> tuple[dict[str, Input], dict[str, Term]]:
    inputs: dict[str, Input] = {}
    parts: dict[str, Term] = {}
    for value in values:
        if isinstance(value, Term):
            inputs |= value.inputs
            parts |= value.parts
    return inputs, parts

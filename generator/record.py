"""Frozen dataclasses that are made in a fifth of the time. Floor 0. `dataclasses` compiles six functions for each frozen class, which is a
quarter of what a short command costs. Here one is compiled, `__init__`; the others are the same for all."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from operator import attrgetter
from typing import TYPE_CHECKING, Any


def _frozen(*, frozen: bool, slots: bool = False, eq: bool = True) -> Callable[[type[Any]], type[Any]]:
    """`dataclasses.dataclass` for frozen classes without a base class; `fields`, `replace`, `pickle` and `match` know them."""
    assert frozen, "a class that changes is made by `dataclasses` itself"

    def decorate(plain: type[Any]) -> type[Any]:
        made: type[Any] = dataclasses.dataclass(init=False, repr=False, eq=False, slots=slots)(plain)
        fields = dataclasses.fields(made)
        methods: dict[str, object] = {"__init__": _init(made, fields, slots), "__setattr__": _refuse, "__delattr__": _refuse, "__repr__": _repr}
        if eq:
            values = attrgetter(*(field.name for field in fields if field.compare))
            methods["__eq__"] = lambda self, other: values(self) == values(other) if other.__class__ is self.__class__ else NotImplemented
            methods["__hash__"] = lambda self: hash(values(self))
        if slots:
            methods["__setstate__"] = _set_state
        for name, method in methods.items():
            setattr(made, name, method)
        return made

    return decorate


def _init(made: type[Any], fields: tuple[dataclasses.Field[Any], ...], slots: bool) -> object:
    """The function that sets the fields, compiled from its text."""
    known: dict[str, object] = {"_missing": dataclasses.MISSING}
    words, lines = [], []
    for field in fields:
        name, value = field.name, field.name
        if field.default_factory is not dataclasses.MISSING:
            known[f"_make_{name}"] = field.default_factory
            words.append(f"{name}=_missing")
            value = f"_make_{name}() if {name} is _missing else {name}"
        elif field.default is not dataclasses.MISSING:
            known[f"_default_{name}"] = field.default
            words.append(f"{name}=_default_{name}")
        else:
            words.append(name)
        known[f"_set_{name}"] = getattr(made, name).__set__ if slots else None
        lines.append(f" _set_{name}(self, {value})" if slots else f" self.__dict__[{name!r}] = {value}")
    exec(f"def __init__(self, {', '.join(words)}):\n" + "\n".join(lines), known)
    return known["__init__"]


def _refuse(self: object, name: str, value: object = None) -> None:
    raise dataclasses.FrozenInstanceError(f"{type(self).__name__} is frozen: {name!r} does not change")


def _repr(self: Any) -> str:
    shown = (f"{field.name}={getattr(self, field.name)!r}" for field in dataclasses.fields(self) if field.repr)
    return f"{type(self).__qualname__}({', '.join(shown)})"


def _set_state(self: object, state: tuple[None, dict[str, object]]) -> None:
    for name, value in state[1].items():
        object.__setattr__(self, name, value)


if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass
else:
    dataclass = _frozen

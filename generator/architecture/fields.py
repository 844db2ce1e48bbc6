"""Typed reading of a model's untrusted `config.json`. Floor 3, pure. Every value is checked for type and range before use, so that a wrong
one raises an `InputError` with the key's name, never an arithmetic exception."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from generator.architecture.families import Family
from generator.errors import InputError, Place, fail

T = TypeVar("T")
MAX_WIDTH = 1 << 24
"""Largest accepted width, number of heads or experts, or vocabulary size."""

MAX_LAYERS = 4096
MAX_TOKENS = 1 << 32
"""Largest context length, in tokens."""


class Fields:
    """One mapping of a config; `where` names it in messages (`text_config`)."""

    __slots__ = ("place", "values", "where")

    def __init__(self, values: Mapping[str, object], place: Place | None = None, where: str = "") -> None:
        self.values = values
        self.place = place
        self.where = where

    def completed(self, family: Family | None) -> Fields:
        """These fields with a family's own keys under their usual names, and its defaults where nothing is said."""
        if family is None or not (family.keys or family.config):
            return self
        renamed = {usual: self.values[own] for own, usual in family.keys.items() if self.has(own)}
        missing = {key: value for key, value in family.config.items() if self.values.get(key) in (None, {})}
        return Fields({**self.values, **missing, **renamed}, self.place, self.where)

    def changed(self, values: Iterable[tuple[str, object]]) -> Fields:
        """These fields with other values."""
        return Fields({**self.values, **dict(values)}, self.place, self.where) if values else self

    def problem(self, key: str, message: str) -> InputError:
        """An error for a wrong value of a key."""
        return fail("bad-model-config", f"model config: {self.where}{key} {message}", self.place)

    def missing(self, *keys: str) -> InputError:
        """An error for missing `keys`."""
        names = " or ".join(f"{self.where}{k}" for k in keys)
        return fail("unknown-architecture", f"model config: {names} is missing", self.place)

    def has(self, *keys: str) -> bool:
        """Whether one of `keys` has a value."""
        return self._first(keys)[1] is not None

    def _first(self, keys: tuple[str, ...]) -> tuple[str, object]:
        """The first of `keys` that has a value, and the value; None where none has one."""
        for key in keys:
            value = self.values.get(key)
            if value is not None:
                return key, value
        return "", None

    def integer(self, *keys: str, low: int = 1, high: int = MAX_WIDTH, default: int | None = None) -> int:
        """The first of `keys` that has a value, as a whole number between `low` and `high`."""
        key, value = self._first(keys)
        if value is not None:
            return self._whole(key, _alike(value), low, high)
        if default is None:
            raise self.missing(*keys)
        return default

    def _whole(self, key: str, value: object, low: int, high: int) -> int:
        if isinstance(value, bool) or not isinstance(value, int | float) or not (isinstance(value, int) or value.is_integer()):
            raise self.problem(key, f"must be a whole number, not {_shown(value)}")
        if not low <= value <= high:
            raise self.problem(key, f"must lie between {low} and {high}, not {_shown(value)}")
        return int(value)

    def number(self, key: str, low: float, high: float, default: float) -> float:
        """A number between `low` and `high`."""
        value = _alike(self.values.get(key))
        if isinstance(value, bool) or not isinstance(value, int | float | None):
            raise self.problem(key, f"must be a number, not {_shown(value)}")
        if value is not None and not low <= value <= high:
            raise self.problem(key, f"must lie between {low} and {high}, not {_shown(value)}")
        return default if value is None else float(value)

    def flag(self, *keys: str, default: bool = False) -> bool:
        """A truth value."""
        key, value = self._first(keys)
        if not isinstance(value, bool | None):
            raise self.problem(key, f"must be true or false, not {_shown(value)}")
        return default if value is None else value

    def word(self, *keys: str, default: str = "") -> str:
        """A string."""
        key, value = self._first(keys)
        if not isinstance(value, str | None):
            raise self.problem(key, f"must be a string, not {_shown(value)}")
        return default if value is None else value

    def sequence(self, key: str, kind: type[T], length: int | None = None) -> list[T] | None:
        """A list of `kind` (of `length` items at least), or None if the key has no value."""
        value = self.values.get(key)
        if value is None:
            return None
        if not isinstance(value, Sequence) or isinstance(value, str | bytes):
            raise self.problem(key, f"must be a list, not {_shown(value)}")
        wrong = next((v for v in value if not isinstance(v, kind) or (kind is int and isinstance(v, bool))), None)
        if wrong is not None or any(v is None for v in value):
            raise self.problem(key, f"must hold values of type {kind.__name__}, not {_shown(wrong)}")
        if length is not None and len(value) < length:
            raise self.problem(key, f"must have {length} items, one per layer, not {len(value)}")
        return list(value)

    def integers(self, key: str, length: int, low: int = 0, high: int = MAX_WIDTH) -> list[int] | None:
        """A list of whole numbers, one per layer."""
        values = self.sequence(key, int, length)
        for value in values or ():
            self._whole(key, value, low, high)
        return values

    def child(self, *keys: str) -> Fields | None:
        """A nested mapping, or None."""
        key, value = self._first(keys)
        if not isinstance(value, Mapping | None):
            raise self.problem(key, f"must be a mapping, not {_shown(value)}")
        return None if value is None else Fields(value, self.place, f"{self.where}{key}.")


def _alike(value: object) -> object:
    """A list of equal items as the one: some configs say `[14, 14]` where most say 14."""
    return value[0] if isinstance(value, list) and value and all(item == value[0] for item in value) else value


def _shown(value: object) -> str:
    try:
        text = repr(value)
    except ValueError:  # an integer with more digits than Python prints
        return "a number with too many digits"
    return text if len(text) <= 40 else text[:37] + "..."

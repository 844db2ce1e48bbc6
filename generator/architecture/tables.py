"""Layers and towers as `rules/parts.json` has them: sizes by the keys of a config, and matrices by those sizes. Floor 3; reads that file. A
length is a sum of products of sizes and whole numbers (`inner + 2 * groups * state`); the schema `parts` says what else a size can be."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from math import prod
from types import MappingProxyType
from typing import Any

from generator.architecture.fields import MAX_WIDTH, Fields
from generator.architecture.parts import Part, biased
from generator.architecture.shape import Role
from generator.readers.resources import shipped

NONE: Mapping[str, str] = MappingProxyType({})
Said = str | list[str] | dict[str, Any]
"""A size as the file has it; the schema says which keys stand together."""


def tables() -> Mapping[str, dict[str, Any]]:
    """Every table by its name."""
    found: Mapping[str, dict[str, Any]] = shipped("parts.json")
    return found


@lru_cache(1024)
def _terms(text: str) -> tuple[list[str], ...]:
    return tuple(term.split(" * ") for term in text.split(" + "))


class Sizes(dict[str, int]):
    """The sizes of a table, from a config and from those given."""

    def __init__(self, name: str, fields: Fields | None, given: Mapping[str, int]) -> None:
        super().__init__(given)
        self._fields, self._said = fields or Fields({}), _said(name)
        for one in self._said:
            self[one]

    def __missing__(self, name: str) -> int:
        self[name] = found = self._read(self._said[name]) if name in self._said else int(name)
        return found

    def length(self, said: str | int) -> int:
        """A sum of products, of sizes and whole numbers."""
        if isinstance(said, int):
            return said
        return self[said] if said in self else sum([prod([self[word] for word in term]) for term in _terms(said)])

    def _read(self, said: Said) -> int:
        """One size; `InputError` for a key that is missing or has an impossible value."""
        fields = self._fields
        if isinstance(said, str):
            return self.length(said)
        if isinstance(said, list):
            return fields.integer(*said, low=1)
        if "if" in said and not self[said["if"]]:
            return 0
        high, default = said.get("high", MAX_WIDTH), said.get("default")
        if "flag" in said:
            return int(fields.flag(*said["flag"], default=bool(default)))
        if "word" in said:
            return int(fields.word(said["word"]) == said["is"])
        if "none" in said:
            return int(not self[said["none"]])
        if "most" in said:
            return max(map(self.length, said["most"]))
        if "count" in said:
            return len(fields.sequence(said["count"], int) or ())
        if "list" in said:
            return int((fields.integers(said["list"], 2, 1, high) or said["default"])[said["at"]])
        if "ratio" in said:
            ratio, of = fields.number(said["ratio"], said.get("low", 0.1), said.get("high", 64), said["default"]), self.length(said["of"])
            found = of / ratio**2 if said.get("inverse_square") else of * ratio
            return round(found) if said.get("rounded") else int(found)
        if "over" in said:
            return self.length(said["of"]) // max(1, self.length(said["over"]))
        return fields.integer(*said["keys"], low=said.get("low", 1), high=high, default=None if default is None else self.length(default))


def numbers_of(thing: object) -> dict[str, int]:
    """The whole numbers of a dataclass, such as heads or the traits of a family, as sizes; true is 1."""
    return {name: int(value) for name in thing.__slots__ if isinstance(value := getattr(thing, name), int)}  # type: ignore[attr-defined]


def _said(name: str) -> dict[str, Said]:
    """The sizes of a table over those of the one that it is `like`."""
    table = tables()[name]
    return {**(_said(table["like"]) if "like" in table else {}), **table.get("sizes", {})}


def parts_of(name: str, sizes: Sizes, role: Role, module: str = "", form: str = "{}", words: Mapping[str, str] = NONE) -> list[Part]:
    """The matrices of a table, with biases. `module` is what their modules lie in, `form` what their names are made of; `words` replace
    names of modules."""
    table, base, found = tables()[name], f"{module}." if module else "", []
    for row in table.get("parts") or tables()[table["like"]]["parts"]:
        if "like" in row:
            found += parts_of(row["like"], sizes, role, module, form, words)
        elif "if" not in row or sizes[row["if"]]:
            part = Part(
                form.format(row["name"]), row.get("role", role), sizes.length(row["rows"]), sizes.length(row.get("columns", 1)),
                row.get("shard", "replicated"), base + words.get(row["module"], row["module"]) if "module" in row else "",
                sizes.length(row.get("count", 1)), row.get("split", "column"), sizes.length(row.get("heads", 0)),
                linear="module" in row and not row.get("wide"),
            )  # fmt: skip
            found += biased(part, bool(sizes.length(row.get("bias", 0))))
    return found

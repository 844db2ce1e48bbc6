"""Renamed words: an old name is understood for two releases, with a warning that says the new one.

Floor 1; reads `rules/renamed.yaml`. Warnings go through `warnings`: the command line prints them, a program can catch them.
"""

from __future__ import annotations

import warnings
from collections.abc import Collection, Mapping
from functools import lru_cache
from typing import Any, NotRequired, TypedDict

from generator import __version__
from generator.errors import Place, Problem
from generator.quantity import version_key
from generator.readers.document import Document, KeyPath, read_yaml
from generator.readers.resources import folder, shown

FILE = "renamed.yaml"
KINDS = ("rows", "thresholds", "keys", "methods", "options")


class Entry(TypedDict):
    """An old word: its new name (`to`), or what covers it now (`see`); the version that renamed it, and the one that forgets it."""

    to: NotRequired[str]
    see: NotRequired[str]
    since: str
    gone_in: str


class Deprecated(FutureWarning):
    """An old word was used; `problem` says where, and the new word."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


@lru_cache(1)
def old_words() -> Mapping[str, Mapping[str, Entry]]:
    """The old words of each kind that this version still understands."""
    path = folder("rules") / FILE
    data = read_yaml(path, shown(path)).data
    now = version_key(__version__)
    return {kind: {old: entry for old, entry in data[kind].items() if now < version_key(entry["gone_in"])} for kind in KINDS}


def renamed(kind: str, word: str, known: Collection[str], place: Place | None = None, within: str = "") -> str:
    """Today's word for a word that is not `known`, with a warning; itself if it was not renamed. Rows are named `within` their table."""
    entry = None if word in known else old_words()[kind].get(f"{within}{word}")
    if entry is None or entry.get("to") not in known:
        return word
    _warn(kind, _now(word, entry), place)
    return entry["to"]


def _now(word: str, entry: Entry) -> str:
    return f"{word!r} is now called {entry['to']!r}: write that; the old name is understood until {entry['gone_in']}"


def covered(word: str, table: str, place: Place) -> bool:
    """Whether a row to switch off has become part of another one, or of nothing: then there is nothing to switch off, and a warning says so."""
    entry = old_words()["rows"].get(f"{table}/{word}")
    if entry is None or "see" not in entry:
        return False
    instead = "" if entry["see"] == "-" else f"; {entry['see']!r} says now what it said"
    _warn("rows", f"there is no row {word!r} any more{instead}: leave it out; from {entry['gone_in']} this is an error", place)
    return True


def _warn(kind: str, message: str, place: Place | None) -> None:
    name = {"keys": "the key ", "methods": "the method ", "options": "the option ", "thresholds": "the threshold "}.get(kind, "")
    warnings.warn(Deprecated(Problem("deprecated", f"{name}{message}", place, "warning")), stacklevel=3)


def in_row(row: Mapping[str, Any], known: Collection[str], place: Place) -> dict[str, Any]:
    """A row with today's names of the thresholds that its cells and settings read."""
    found = dict(row)
    for part in ("when", "set"):
        if isinstance(cells := row.get(part), dict):
            found[part] = {name: _bounds(cell, known, place) for name, cell in cells.items()}
    return found


def _bounds(cell: Any, known: Collection[str], place: Place) -> Any:
    if isinstance(cell, dict):
        return {key: _bounds(bound, known, place) for key, bound in cell.items()}
    return renamed("thresholds", cell, known, place) if isinstance(cell, str) and cell in old_words()["thresholds"] else cell


def in_spec(document: Document) -> Document:
    """A spec with today's keys; the old ones are listed by path (`workload/max_context`)."""
    for path in list(document.key_marks):
        entry = old_words()["keys"].get("/".join(map(str, path)))
        if entry is None or "to" not in entry:
            continue
        new = entry["to"]
        _warn("keys", _now(str(path[-1]), entry), document.place(path, key=True))
        marks, key_marks = ({_moved(at, path, new): mark for at, mark in found.items()} for found in (document.marks, document.key_marks))
        document = document._replace(data=_replaced(document.data, path, new), marks=marks, key_marks=key_marks)
    return document


def in_command(line: list[str], option: str) -> list[str]:
    """A command line with today's name of an option."""
    entry = old_words()["options"].get(option)
    if entry is None or "to" not in entry:
        return line
    _warn("options", _now(option, entry), None)
    return [entry["to"] + word.removeprefix(option) if word.partition("=")[0] == option else word for word in line]


def _moved(at: KeyPath, old: KeyPath, new: str) -> KeyPath:
    return (*old[:-1], new, *at[len(old) :]) if at[: len(old)] == old else at


def _replaced(data: Any, path: KeyPath, new: str) -> Any:
    """Mappings with one key renamed, in place of the old one."""
    if len(path) == 1:
        return {new if key == path[0] else key: value for key, value in data.items()}
    return {**data, path[0]: _replaced(data[path[0]], path[1:], new)}

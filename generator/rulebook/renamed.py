"""Renamed words: an old name is understood for two releases, with a warning that says the new one.

Floor 1; reads `rules/renamed.yaml`. Warnings go through `warnings`: the command line prints them, a program can catch them."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Mapping
from functools import lru_cache
from typing import Any, NotRequired, TypedDict

from generator import __version__
from generator.errors import Place, Problem
from generator.quantity import version_key
from generator.readers.document import Document, read_yaml
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


def renamed(kind: str, word: str, known: Collection[str], place: Place | None = None, covers: bool = False) -> str:
    """Today's word for a word that is not `known`, or if it `covers` what says now what it said, with a warning; itself if it was not renamed."""
    entry = None if word in known else old_words()[kind].get(word)
    new = entry.get("to", entry.get("see", "") if covers else "") if entry else ""
    if entry is None or new not in known:
        return word
    _warn(kind, word, entry, place)
    return new


def today(word: str, known: Collection[str]) -> str:
    """The row or threshold that an old word names, or that says now what it said, with a warning; itself if it was not renamed."""
    return renamed("thresholds", renamed("rows", word, known, covers=True), known, covers=True)


def all_renamed(kind: str, data: Any, known: Collection[str], place: Place) -> Any:
    """Data with today's words for all its texts, but not for the keys of mappings."""
    if isinstance(data, dict):
        return {key: all_renamed(kind, value, known, place) for key, value in data.items()}
    if isinstance(data, list):
        return [all_renamed(kind, value, known, place) for value in data]
    return renamed(kind, data, known, place) if isinstance(data, str) else data


def covered(row: str, place: Place) -> bool:
    """Whether a row to switch off has become part of another one, or of nothing: then there is nothing to switch off, and a warning says so."""
    entry = old_words()["rows"].get(row)
    if entry is None or "see" not in entry:
        return False
    _warn("rows", row, entry, place)
    return True


def _warn(kind: str, word: str, entry: Entry, place: Place | None) -> None:
    end = f"the old word is an error from {entry['gone_in']} on"
    if "to" in entry:
        message = f"{kind.removesuffix('s')} {word!r} is now {entry['to']!r}: write that; {end}"
    else:
        instead = "" if entry["see"] == "-" else f", {entry['see']!r} says what it said"
        message = f"there is no row {word!r} any more{instead}: leave it out; {end}"
    warnings.warn(Deprecated(Problem("deprecated", message, place, "warning")), stacklevel=3)


def in_spec(document: Document) -> Document:
    """A spec with today's keys; the old ones are listed as `section/key`."""
    for path in [path for path in document.key_marks if len(path) == 2]:
        section, old = path
        entry = old_words()["keys"].get(f"{section}/{old}")
        if entry is not None and "to" in entry and entry["to"] not in document.data[section]:
            new = entry["to"]
            _warn("keys", str(old), entry, document.place(path, key=True))
            data = {**document.data, section: {new if key == old else key: value for key, value in document.data[section].items()}}
            marks, key_marks = (
                {(section, new, *at[2:]) if at[:2] == path else at: mark for at, mark in found.items()} for found in (document.marks, document.key_marks)
            )
            document = document._replace(data=data, marks=marks, key_marks=key_marks)
    return document


def in_command(line: list[str], option: str) -> list[str]:
    """A command line with today's name of an option."""
    entry = old_words()["options"].get(option)
    if entry is None or "to" not in entry:
        return line
    _warn("options", option, entry, None)
    return [entry["to"] + word.removeprefix(option) if word.partition("=")[0] == option else word for word in line]

"""Checks of a rule set that make it safe to use: every name, value, threshold and source is known.

Floor 1. Finds everything at once; `lint` proves more (shadowed rows, gaps) on top of this.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from generator.errors import Place, Problem, did_you_mean
from generator.source import Document
from generator.table import COMPARISONS, STAGES

HITS = {
    "workload": "collect", "reject": "collect", "fit": "collect", "prefer": "first", "settings": "collect", "warn": "collect",
}  # fmt: skip
ROW_KEYS = {"id", "when", "because", "source", "set", "rank", "order", "otherwise", "evidence", "at", "index"}

Data = Mapping[str, Any]


def check(merged: Data, documents: Mapping[str, Document]) -> list[Problem]:
    """Every problem of a merged rule set, at its place."""
    return [*_vocabulary(merged), *_thresholds(merged, documents), *_tables(merged, documents), *_facts(merged)]


def _vocabulary(merged: Data) -> Iterator[Problem]:
    for name, entry in merged["names"].items():
        if not isinstance(entry, dict) or entry.get("stage") not in STAGES or "type" not in entry:
            yield Problem("rules-form", f"name {name!r} needs a type and a stage of {', '.join(STAGES)}")


def _thresholds(merged: Data, documents: Mapping[str, Document]) -> Iterator[Problem]:
    for name, entry in merged["thresholds"].items():
        place = _place(entry.get("at"))
        numbers = [entry] if "value" in entry else entry.get("by_version") or []
        if not numbers or not all("value" in row for row in numbers):
            yield Problem("rules-form", f"threshold {name!r} has no value", place)
        for row in numbers:
            source = row.get("source", entry.get("source"))
            if source not in merged["sources"]:
                yield Problem("unknown-source", f"{source!r} is no source{did_you_mean(str(source), merged['sources'])}", place)
        if "unit" not in entry or "checked" not in entry:
            yield Problem("rules-form", f"threshold {name!r} needs a unit and the day it was checked", place)


def _place(at: str | None) -> Place | None:
    if not at:
        return None
    path, _, line = at.rpartition(":")
    return Place(path, int(line), 1)


def _tables(merged: Data, documents: Mapping[str, Document]) -> Iterator[Problem]:
    for name, table in merged["tables"].items():
        if name not in HITS:
            yield Problem("unknown-table", f"no table is called {name!r}{did_you_mean(name, HITS)}")
            continue
        for row in table["rows"]:
            place = _Row(row, documents)
            yield from _row(merged, name, row, place)


class _Row:
    """Finds the position of a part of a row."""

    def __init__(self, row: Data, documents: Mapping[str, Document]) -> None:
        self.document = documents[row["at"].rpartition(":")[0]]
        self.index = row["index"]

    def at(self, *path: str | int, key: bool = False) -> Place:
        return self.document.place(("rows", self.index, *path), key=key)


def _row(merged: Data, table: str, row: Data, place: _Row) -> Iterator[Problem]:
    for key in row:
        if key not in ROW_KEYS:
            yield Problem("unknown-key", f"{key!r} is no part of a row{did_you_mean(key, ROW_KEYS)}", place.at(key, key=True))
    if not row.get("because"):
        yield Problem("rules-form", f"row {row['id']!r} does not say because", place.at())
    source = row.get("source")
    if source is not None and source not in merged["sources"]:
        yield Problem("unknown-source", f"{source!r} is no source{did_you_mean(source, merged['sources'])}", place.at("source"))
    when = row.get("when") or {}
    if not when and not row.get("otherwise") and table != "prefer":
        yield Problem("rules-form", f"row {row['id']!r} matches everything; say `otherwise: true`", place.at())
    for name, cell in when.items():
        yield from _cell(merged, name, cell, place)
        entry = merged["names"].get(name)
        if table == "prefer" and entry and entry["stage"] != "spec":
            yield Problem("rules-form", f"`when` of a preference may not read {name!r}: it differs between candidates", place.at("when", name))
    yield from _action(merged, table, row, place)


def _action(merged: Data, table: str, row: Data, place: _Row) -> Iterator[Problem]:
    if table == "prefer":
        if ("rank" in row) is ("order" in row):
            yield Problem("rules-form", f"row {row['id']!r} needs either `rank` or `order`", place.at())
        for key in ("rank", "order"):
            for name in (row.get(key) or {}).values() if key == "rank" else (row.get(key) or {}):
                if name not in merged["names"]:
                    yield Problem("unknown-name", f"{name!r} is not in the vocabulary{did_you_mean(str(name), merged['names'])}", place.at(key))
        for name, words in (row.get("order") or {}).items():
            flat = [w for group in words for w in (group if isinstance(group, list) else [group])]
            yield from _values(merged, name, flat, place.at("order", name))
    for key, value in (row.get("set") or {}).items():
        if key not in merged["settings"]:
            yield Problem("unknown-setting", f"{key!r} is no setting{did_you_mean(key, merged['settings'])}", place.at("set", key, key=True))
            continue
        allowed = merged["settings"][key].get("values")
        known = value in merged["thresholds"] or value in merged["names"]
        if isinstance(value, str) and not known and (allowed is None or value not in allowed):
            where = [*merged["thresholds"], *merged["names"], *(allowed or [])]
            yield Problem("unknown-value", f"{value!r} is no threshold, no name and no value of {key}{did_you_mean(value, where)}", place.at("set", key))


def _cell(merged: Data, name: str, cell: Any, place: _Row) -> Iterator[Problem]:
    entry = merged["names"].get(name)
    if entry is None:
        yield Problem("unknown-name", f"{name!r} is not in the vocabulary{did_you_mean(name, merged['names'])}", place.at("when", name, key=True))
        return
    where = place.at("when", name)
    if isinstance(cell, dict):
        if "not" in cell and len(cell) == 1:
            words = cell["not"] if isinstance(cell["not"], list) else [cell["not"]]
            yield from _values(merged, name, words, where)
            return
        for key, bound in cell.items():
            if key not in COMPARISONS:
                yield Problem("rules-form", f"{key!r} is no comparison{did_you_mean(key, COMPARISONS)}", where)
            elif entry["type"] != "number":
                yield Problem("rules-form", f"{name} is no number and cannot be compared", where)
            elif isinstance(bound, str) and "value" not in merged["thresholds"].get(bound, {}):
                yield Problem("unknown-threshold", f"{bound!r} is no threshold{did_you_mean(bound, merged['thresholds'])}", where)
        return
    yield from _values(merged, name, cell if isinstance(cell, list) else [cell], where)


def _values(merged: Data, name: str, words: list[Any], where: Place) -> Iterator[Problem]:
    entry = merged["names"].get(name) or {}
    for word in words:
        if word == "unknown" and "unknown" not in (entry.get("values") or []):
            continue
        kind = entry.get("type")
        if kind == "flag" and not isinstance(word, bool):
            yield Problem("unknown-value", f"{name} is true or false, not {word!r}", where)
        elif kind == "number" and (isinstance(word, bool) or not isinstance(word, int | float)):
            yield Problem("unknown-value", f"{name} is a number, not {word!r}", where)
        elif kind in ("word", "words"):
            allowed = _allowed(merged, entry)
            if allowed is not None and word not in allowed:
                yield Problem("unknown-value", f"{word!r} is no value of {name}{did_you_mean(str(word), allowed)}", where)


def _allowed(merged: Data, entry: Data) -> list[str] | None:
    """The values a name may have: listed, or the names of a section (`from: methods`)."""
    if "from" in entry:
        return [*merged[entry["from"]], *(entry.get("values") or [])]
    return entry.get("values")


def _facts(merged: Data) -> Iterator[Problem]:
    for section in ("gpus", "models", "methods"):
        for name, entry in merged[section].items():
            if not isinstance(entry, dict):
                yield Problem("rules-form", f"{section}: {name!r} is not a mapping")
                continue
            sources = entry.get("source") or []
            for source in [sources] if isinstance(sources, str) else sources:
                if source not in merged["sources"]:
                    yield Problem("unknown-source", f"{name}: {source!r} is no source{did_you_mean(source, merged['sources'])}")

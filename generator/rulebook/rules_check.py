"""Safety checks of a rule set: every name, value, threshold and source is known.

Floor 1. Reports all problems at once; `lint` adds proofs (shadowed rows, gaps)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Protocol

from generator.errors import Place, Problem, did_you_mean
from generator.readers.document import KeyPath
from generator.rulebook.facts_check import fact_problems
from generator.rulebook.overlay import Data, Gathered
from generator.rulebook.table import COMPARISONS, ESTIMATES, LABELS, STAGES, UNCERTAINTY, bounds_of

if TYPE_CHECKING:  # every start would pay for building the types
    from generator.rulebook.sections import Row

HITS = {
    "workload": "collect", "reject": "collect", "fit": "collect", "prefer": "first", "settings": "collect", "warn": "collect",
    "quantize": "collect", "fits": "first",
}  # fmt: skip
OPTIONAL = frozenset(("quantize", "fits"))
"""Optional tables: without them the rule set offers no quantization job, and orders no models."""
WORKLOAD_READS = ("profile", "goal")
READS_UP_TO = {"fit": "layout", "prefer": "spec", "quantize": "pair"}
"""The last stage that a table's `when` may read: `fit` comes before sizing, and a preference is the same for all candidates."""


def check(gathered: Gathered, known: Data) -> list[Problem]:
    """All problems of a merged rule set, at their places; `known` are the names that the code provides."""
    return [*_vocabulary(gathered, known), *_tables(gathered.merged, gathered), *fact_problems(gathered), *_sources(gathered)]


class At(Protocol):
    """The places of the parts of a row."""

    def __call__(self, *path: str | int, key: bool = False) -> Place: ...


def _vocabulary(gathered: Gathered, known: Data) -> Iterator[Problem]:
    read = {word for table in gathered.merged["tables"].values() for row in table["rows"] for word in words_of(row)}
    for name, entry in gathered.merged["names"].items():
        place, given = gathered.place("names", name), known.get(name)
        if name.startswith(LABELS):
            if entry["stage"] != STAGES[0] or entry["type"] != "word" or not entry.get("values"):
                yield Problem("rules-form", f"a label is declared with `stage: spec, type: word` and the `values` that it may have: {name!r}", place)
        elif given is None:
            if name in read:
                yield Problem("new-name", f"a row reads {name!r}, but this version of the code does not provide it{did_you_mean(name, known)}", place)
        elif STAGES.index(entry["stage"]) < STAGES.index(given["stage"]):
            yield Problem("too-early", f"{name!r} is known at stage {given['stage']}, not {entry['stage']}", place)
        elif entry["type"] != given["type"]:
            yield Problem("wrong-type", f"{name!r} has the type {given['type']}, not {entry['type']}", place)


def words_of(row: Row) -> set[str]:
    """All words of a row that may be names, thresholds or settings."""
    written = [*(row.get("rank") or {}).values(), *(row.get("set") or {}).values(), *bounds_of(row)]
    return {*(row.get("when") or {}), *(row.get("order") or {}), *(row.get("set") or {}), *(word for word in written if isinstance(word, str))}


def _tables(merged: Data, gathered: Gathered) -> Iterator[Problem]:
    for name in HITS:
        if name not in merged["tables"] and name not in OPTIONAL:
            yield Problem("missing-table", f"the rule set has no table {name!r} (an empty table has `rows: []`)", gathered.top)
    for name, table in merged["tables"].items():
        place = place_at(table["at"])
        if table["hit"] != HITS[name]:
            yield Problem("wrong-hit", f"the table {name!r} needs `hit: {HITS[name]}`, not `{table['hit']}`", place)
        for row in table["rows"]:
            yield from _row(merged, name, row, partial(gathered.in_row, row))


def place_at(at: str) -> Place:
    """The place of `file:line:column`."""
    path, line, column = at.rsplit(":", 2)
    return Place(path, int(line), int(column))


def _row(merged: Data, table: str, row: Data, place: At) -> Iterator[Problem]:
    when = row.get("when") or {}
    if not when and not row.get("otherwise") and not (table == "prefer" or (table == "fits" and row.keys() & {"rank", "order"})):
        yield Problem("rules-form", f"row {row['id']!r} matches everything; write `otherwise: true`", place())
    for name, cell in when.items():
        yield from _cell(merged, name, cell, place)
        entry = merged["names"].get(name)
        if entry and table == "workload" and name not in WORKLOAD_READS:
            yield Problem("too-early", f"`workload` may read {' and '.join(WORKLOAD_READS)} only, not {name!r}", place("when", name, key=True))
        elif entry and STAGES.index(entry["stage"]) > STAGES.index(READS_UP_TO.get(table, STAGES[-1])):
            why = "it differs between candidates" if table == "prefer" else "it is known later"
            yield Problem("too-early", f"`when` of the table {table!r} may not read {name!r}: {why}", place("when", name, key=True))
    yield from _action(merged, table, row, place)


def _action(merged: Data, table: str, row: Data, place: At) -> Iterator[Problem]:
    if table in ("prefer", "fits"):
        if table == "prefer" and sum(key in row for key in ("rank", "order", "unbeaten")) != 1:
            yield Problem("rules-form", f"row {row['id']!r} needs either `rank`, `order` or `unbeaten`", place())
        for direction, names in (row.get("unbeaten") or {}).items():
            for number, name in enumerate(names):
                if merged["names"].get(name, {}).get("type") not in ("number", "flag"):
                    near = did_you_mean(str(name), merged["names"])
                    yield Problem("unknown-name", f"{name!r} is not a number of the vocabulary{near}", place("unbeaten", direction, number))
        for key in ("rank", "order"):
            for name in (row.get(key) or {}).values() if key == "rank" else (row.get(key) or {}):
                if name not in merged["names"]:
                    yield Problem("unknown-name", f"{name!r} is not in the vocabulary{did_you_mean(str(name), merged['names'])}", place(key))
                elif key == "rank" and merged["names"][name]["type"] not in ("number", "flag"):
                    yield Problem("wrong-type", f"{name!r} is not a number and cannot be ranked; use `order` for its words", place(key))
        if "beyond" in row and not any(str(name).startswith(ESTIMATES) for name in (row.get("rank") or {}).values()):
            yield Problem("rules-form", f"row {row['id']!r} compares no estimate; `beyond: {UNCERTAINTY}` is for a `rank` of speed.*", place("beyond"))
        for name, words in (row.get("order") or {}).items():
            flat = [w for group in words for w in (group if isinstance(group, list) else [group])]
            yield from _values(merged, name, flat, place("order", name))
    for key, value in (row.get("set") or {}).items():
        if key not in merged["settings"]:
            yield Problem("unknown-setting", f"{key!r} is not a setting{did_you_mean(key, merged['settings'])}", place("set", key, key=True))
            continue
        allowed = merged["settings"][key].get("values")
        known = value in merged["thresholds"] or value in merged["names"]
        if isinstance(value, str) and not known and (allowed is None or value not in allowed):
            where = [*merged["thresholds"], *merged["names"], *(allowed or [])]
            yield Problem("unknown-value", f"{value!r} is not a threshold, a name or a value of {key}{did_you_mean(value, where)}", place("set", key))
        elif isinstance(value, int | float) and isinstance(value, bool) not in _literals(merged, key):
            wanted = "not a flag" if isinstance(value, bool) else "true or false"
            yield Problem("wrong-type", f"{key} is {wanted}, so {value!r} cannot be its value", place("set", key))


def _literals(merged: Data, key: str) -> set[bool]:
    """Whether a setting may be a flag (True) and a number (False), after how engines write it, or after its own words where none does."""
    flags = ("switch", "bool", "null")
    found = [engine["flags"].get(key) or () for engine in merged["engines"].values() if isinstance(engine.get("flags"), dict)]
    types = {entry.get("type") for entries in found for entry in (entries if isinstance(entries, list) else [entries]) if isinstance(entry, dict)}
    if not types:
        return {False} if merged["settings"][key].get("values") else {True, False}
    return {kind for kind in (True, False) if any((type in flags) is kind for type in types)}


def _cell(merged: Data, name: str, cell: object, place: At) -> Iterator[Problem]:
    entry = merged["names"].get(name)
    if entry is None:
        near = did_you_mean(name, merged["names"]) or ("; a `vocabulary.yaml` declares the labels that rows read" if name.startswith(LABELS) else "")
        yield Problem("unknown-name", f"{name!r} is not in the vocabulary{near}", place("when", name, key=True))
        return
    where = place("when", name)
    if isinstance(cell, dict):
        if "not" in cell and len(cell) == 1:
            words = cell["not"] if isinstance(cell["not"], list) else [cell["not"]]
            if "unknown" in words and len(words) > 1:
                yield Problem("rules-form", "`not: unknown` cannot be combined: it matches every known value", where)
            yield from _values(merged, name, words, where)
            return
        for key, bound in cell.items():
            if key not in COMPARISONS:
                yield Problem("rules-form", f"{key!r} is not a comparison{did_you_mean(key, COMPARISONS)}", where)
            elif entry["type"] != "number":
                yield Problem("rules-form", f"{name} is not a number and cannot be compared", where)
            elif isinstance(bound, str) and "value" not in merged["thresholds"].get(bound, {}):
                yield Problem("unknown-threshold", f"{bound!r} is not a threshold{did_you_mean(bound, merged['thresholds'])}", where)
        return
    yield from _values(merged, name, cell if isinstance(cell, list) else [cell], where)


def _values(merged: Data, name: str, words: list[object], where: Place) -> Iterator[Problem]:
    entry = merged["names"].get(name) or {}
    for word in words:
        if word == "unknown" and "unknown" not in (entry.get("values") or []):
            continue
        kind = entry.get("type")
        if kind == "flag" and not isinstance(word, bool):
            yield Problem("unknown-value", f"{name} must be true or false, not {word!r}", where)
        elif kind == "number" and (isinstance(word, bool) or not isinstance(word, int | float)):
            yield Problem("unknown-value", f"{name} must be a number, not {word!r}", where)
        elif kind in ("word", "words"):
            allowed = _allowed(merged, entry)
            if allowed is not None and word not in allowed:
                yield Problem("unknown-value", f"{word!r} is not a value of {name}{did_you_mean(str(word), allowed)}", where)


def _allowed(merged: Data, entry: Data) -> list[str] | None:
    """The values a name may have: listed, or words of the catalogue (also of what is switched off); None where any word will do."""
    if "from" not in entry:
        return entry.get("values")
    section = entry["from"].partition(".")[0]
    return [*catalogue_words(merged, entry["from"]), *catalogue_words({section: merged["off"].get(section, {})}, entry["from"])]


def catalogue_words(merged: Data, words_of: str) -> list[str]:
    """The entries of a section (`methods`), or what they say under a key (`models.family`): a word, several, one for each engine, or entries by name."""
    section, _, key = words_of.partition(".")
    entries: Data = merged[section]
    if not key:
        return list(entries)
    if key in entries:
        return list(entries[key])
    said = [entry[key] for entry in entries.values() if entry.get(key)]
    named = any(isinstance(word, dict) for one in said if isinstance(one, dict) for word in one.values())
    lists = said if named else [one.values() if isinstance(one, dict) else one if isinstance(one, list) else (one,) for one in said]
    return list(dict.fromkeys(word for one in lists for word in one))


def _sources(gathered: Gathered) -> Iterator[Problem]:
    known = gathered.merged["sources"]
    for document in gathered.documents.values():
        for path, word in cited(document.data):
            if word is not None and (not isinstance(word, str) or word not in known):
                yield Problem("unknown-source", f"{word!r} is not a known source{did_you_mean(str(word), known)}", document.place(path))


def cited(value: object, path: KeyPath = ()) -> Iterator[tuple[KeyPath, object]]:
    """All words under `source` keys, at any depth, with their paths."""
    for key, part in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        if key != "source":
            yield from cited(part, (*path, key))
        elif isinstance(part, list):
            yield from (((*path, key, i), word) for i, word in enumerate(part))
        else:
            yield (*path, key), part

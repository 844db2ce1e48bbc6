"""Spans of versions, and option catalogues: spans of an option are disjoint, and no name belongs to two options at once.

Floor 1, pure. `since` is the first version with an entry, `until` the first without it; both are optional."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from itertools import combinations

from generator.errors import Problem
from generator.quantity import version_key
from generator.readers.document import Document, KeyPath
from generator.rulebook.overlay import Data

TABLES = ("options", "env", "parameters", "keys")
"""Parts of a catalogue with entries for version spans."""

Entry = Mapping[str, object]


def meet(one: Entry, other: Entry) -> bool:
    """Whether two spans have a version in common."""

    def before(a: Entry, b: Entry) -> bool:
        return "until" in a and "since" in b and version_key(a["until"]) <= version_key(b["since"])

    return not before(one, other) and not before(other, one)


def range_findings(document: Document, path: KeyPath, name: str, entries: object, known: Collection[tuple[int, ...]]) -> Iterator[Problem]:
    """Unknown versions, empty spans, and two spellings for the same version. `entries` is one entry or a list of them, at `path`."""
    listed: list[tuple[KeyPath, object]] = [((*path, i), one) for i, one in enumerate(entries)] if isinstance(entries, list) else [(path, entries)]
    found = [(at, entry) for at, entry in listed if isinstance(entry, Mapping)]
    for at, entry in found:
        for key in ("since", "until"):
            if key in entry and version_key(entry[key]) not in known:
                yield Problem("unknown-version", f"{name}: {key} {entry[key]!r} is not among the engine's versions", document.place((*at, key)))
        if "since" in entry and "until" in entry and version_key(entry["since"]) >= version_key(entry["until"]):
            yield Problem("empty-range", f"{name}: no version lies between {entry['since']} and {entry['until']}", document.place(at))
    for (_, one), (at, other) in combinations(found, 2):
        if meet(one, other):
            yield Problem("versions-overlap", f"two spellings of {name} apply to the same version", document.place(at))


def option_findings(document: Document) -> Iterator[Problem]:
    """All findings of one option file."""
    data = document.data
    known = {version_key(version) for version in data.get("versions") or ()}
    for table in TABLES:
        for name, entries in (data.get(table) or {}).items():
            # what the newest catalogued version does not have yet, or the oldest no longer had, may be known as well
            spans = {version_key(str(entry[word])) for entry in _each(entries) for word in ("since", "until") if word in entry}
            outside = {key for key in spans if not known or not min(known) <= key <= max(known)}
            yield from range_findings(document, (table, name), name, entries, known | outside)
    yield from _claimed_twice(document, data.get("options") or {})


def _each(entries: object) -> list[Entry]:
    return [entry for entry in (entries if isinstance(entries, list) else [entries]) if isinstance(entry, Mapping)]


def _claimed_twice(document: Document, options: Data) -> Iterator[Problem]:
    """Words (an option's name, its other spellings, those that switch it off) that belong to two options in the same version."""
    claims: dict[str, list[tuple[str, Entry, KeyPath]]] = {}
    for name, entries in options.items():
        several = isinstance(entries, list)
        for i, entry in enumerate(entries if several else [entries]):
            path: KeyPath = ("options", name, i) if several else ("options", name)
            for word in {name, *(entry.get("names") or ()), *(entry.get("off") or ())}:
                for other, theirs, _ in claims.get(word, ()):
                    if other != name and meet(entry, theirs):
                        message = f"{word} belongs to both {other} and {name} in the same version"
                        # only a note: one engine's own parser has such a name
                        yield Problem("option-twice", message, document.place(path), "note")
                claims.setdefault(word, []).append((name, entry, path))

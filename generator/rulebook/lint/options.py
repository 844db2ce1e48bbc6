"""Option catalogues: version spans of an option are disjoint, and no name belongs to two options at once. Floor 1, pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from generator.errors import Problem
from generator.quantity import version_key
from generator.readers.document import Document, KeyPath
from generator.rulebook.lint.versions import meet, range_findings
from generator.rulebook.overlay import Data

TABLES = ("options", "env", "parameters", "keys")
"""Parts of a catalogue with entries for version spans."""

Entry = Mapping[str, object]


def option_findings(document: Document) -> Iterator[Problem]:
    """All findings of one option file."""
    data = document.data
    known = {version_key(version) for version in data.get("versions") or ()}
    for table in TABLES:
        for name, entries in (data.get(table) or {}).items():
            # options of a version after the newest catalogued one may be known already
            newer = {key for entry in _each(entries) if (key := version_key(str(entry.get("since") or "0"))) > max(known, default=key)}
            yield from range_findings(document, (table, name), name, entries, known | newer)
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

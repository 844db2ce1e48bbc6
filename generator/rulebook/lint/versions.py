"""Version spans: `since` is the first version with an entry, `until` the first without it; both are optional. Floor 1, pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from itertools import combinations

from generator.errors import Problem
from generator.quantity import version_key
from generator.readers.document import Document, KeyPath

Entry = Mapping[str, object]


def meet(one: Entry, other: Entry) -> bool:
    """Whether two spans have a version in common."""

    def before(a: Entry, b: Entry) -> bool:
        return "until" in a and "since" in b and version_key(a["until"]) <= version_key(b["since"])

    return not before(one, other) and not before(other, one)


def range_findings(document: Document, path: KeyPath, name: str, entries: object, known: Collection[tuple[int, ...]]) -> Iterator[Problem]:
    """Unknown versions, empty spans, and two spellings for the same version.

    `entries` is one entry or a list of them, at `path`.
    """
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

"""Consistency of facts: spans of versions that are empty or overlap, hardware of which nothing is said, entries without a source.

Floor 1, pure. `since` is the first version with an entry, `until` the first without it; both are optional."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from itertools import combinations, pairwise
from typing import Any

from generator.errors import Place, Problem
from generator.quantity import version_key
from generator.readers.document import Document, KeyPath
from generator.rulebook.matrix import WHEN, cell_of, matrix_rows, word_of
from generator.rulebook.overlay import MERGED, Data, Gathered

TABLES = ("options", "env", "parameters", "keys")
"""Parts of an option catalogue with entries for version spans."""
CITED = (*(section for section in MERGED if section not in ("sources", "thresholds", "names", "settings", "registry")), "dtypes")
"""Sections in which each entry needs a source of its own."""

Entry = Mapping[str, Any]
Listed = list[tuple[KeyPath, Entry]]


def fact_findings(gathered: Gathered, shared: bool = False) -> Iterator[Problem]:
    """All findings for engines, thresholds by version, and sources of facts.

    Option catalogues are checked for the set itself, with `shared` also those of the shared facts."""
    files = gathered.own.union(*(files for _, files in gathered.layers[:2])) if shared else gathered.own
    for document in gathered.documents.values():
        data = document.data
        if "engine" in data and not data.keys() & {"support", "options"}:
            yield from _engine(document, gathered.merged["engines"].get(data["engine"]) or data)
        if "options" in data and document.name in files:
            yield from _options(document)
        for name, entry in (data.get("thresholds") or {}).items():
            for (_, one), (at, other) in pairwise(_listed(("thresholds", name, "by_version"), entry.get("by_version") or [])):
                if version_key(one["since"]) >= version_key(other["since"]):
                    yield Problem("versions-overlap", f"{name}: {other['since']} does not come after {one['since']}", document.place(at))
        yield from _without_source(document)
        yield from _matrix(gathered, document)


def _listed(path: KeyPath, entries: list[Entry] | Entry) -> Listed:
    return [((*path, i), one) for i, one in enumerate(entries)] if isinstance(entries, list) else [(path, entries)]


def meet(one: Entry, other: Entry) -> bool:
    """Whether two spans have a version in common."""

    def before(a: Entry, b: Entry) -> bool:
        return "until" in a and "since" in b and version_key(a["until"]) <= version_key(b["since"])

    return not before(one, other) and not before(other, one)


def _empty(document: Document, name: str, found: Listed) -> Iterator[Problem]:
    for at, one in found:
        if "since" in one and "until" in one and version_key(one["since"]) >= version_key(one["until"]):
            yield Problem("empty-range", f"{name}: no version lies between {one['since']} and {one['until']}", document.place(at))


def range_findings(document: Document, path: KeyPath, name: str, entries: list[Entry] | Entry, known: Collection[tuple[int, ...]]) -> Iterator[Problem]:
    """Unknown versions, empty spans, and two spellings for the same version. `entries` is one entry or a list of them, at `path`."""
    found = _listed(path, entries)
    for at, entry in found:
        for key in ("since", "until"):
            if key in entry and version_key(entry[key]) not in known:
                yield Problem("unknown-version", f"{name}: {key} {entry[key]!r} is not among the engine's versions", document.place((*at, key)))
    yield from _empty(document, name, found)
    for (_, one), (at, other) in combinations(found, 2):
        if meet(one, other):
            yield Problem("versions-overlap", f"two spellings of {name} apply to the same version", document.place(at))


def _options(document: Document) -> Iterator[Problem]:
    known = {version_key(version) for version in document.data["versions"]}
    for table in TABLES:
        for name, entries in (document.data.get(table) or {}).items():
            # what the newest catalogued version does not have yet, or the oldest no longer had, may be known as well
            spans = {version_key(str(one[word])) for _, one in _listed((), entries) for word in ("since", "until") if word in one}
            outside = {key for key in spans if not min(known) <= key <= max(known)}
            yield from range_findings(document, (table, name), name, entries, known | outside)


def _matrix(gathered: Gathered, document: Document) -> Iterator[Problem]:
    """Generations that a row says nothing of at some version, and statements that others keep from being read."""
    merged, known = gathered.merged, gathered.merged["architectures"]
    for path, row in matrix_rows(document.data):
        name, engine = str(path[-1]), path[1] if path[0] == "kv_cache" else document.data["engine"]
        whole = (merged["kv_cache"][engine] if path[0] == "kv_cache" else merged["support"][engine]["support"])[name]
        versions = merged["engines"].get(engine, {}).get("versions", ("0",)) if len(whole) > 1 else ("0",)
        for generation in [one for one in known if not all(cell_of(whole, one, known, version, ()) for version in versions)]:
            message = f"{name}: nothing is said of {generation} at some version of {engine}; `all` is for the rest of the hardware"
            yield Problem("no-cell", message, document.place(path, key=True))
        yield from _empty(document, name, row)
        for (_, one), (at, other) in combinations(row, 2):
            same = one.get("shape") in (None, other.get("shape")) and any(key in other for key in WHEN) and meet(one, other)
            if same and any(word_of(one, generation, known) and word_of(other, generation, known) for generation in known):
                yield Problem("versions-overlap", f"{name}: an earlier statement says something of the same hardware and counts", document.place(at))


def _engine(document: Document, engine: Data) -> Iterator[Problem]:
    data, known = document.data, {version_key(v) for v in engine["versions"]}
    for setting, entries in (data.get("flags") or {}).items():
        yield from range_findings(document, ("flags", setting), setting, entries, known)
    images: dict[str, Listed] = {}
    for at, entry in _listed(("images",), data.get("images") or []):
        for kind in entry.get("architectures", ("",)):
            images.setdefault(" ".join(filter(None, (entry["vendor"], entry.get("back_end"), kind))), []).append((at, entry))
    for vendor, found in images.items():
        for (_, one), (at, other) in combinations(found, 2):
            if meet(one, other):
                yield Problem("versions-overlap", f"two images for {vendor} apply to the same version", document.place(at))
    if "default_version" in data and version_key(data["default_version"]) not in known:
        yield Problem("unknown-version", f"{data['default_version']!r} is not among the versions", document.place(("default_version",)))
    if version_key(engine.get("safe_from", "0")) > version_key(engine["default_version"]):
        says = f"specs without a pin get {engine['default_version']!r}, which has advisories; the first version without is {engine['safe_from']!r}"
        yield Problem("unsafe-default", says, document.place(("default_version",) if "default_version" in data else ("engine",)))


def _without_source(document: Document) -> Iterator[Problem]:
    """Entries of facts without a source: each GPU, model, method, cell row and number needs one."""
    data = document.data
    lacking: list[tuple[object, Place]] = []
    for section in CITED:
        entries = (data.get(section) or {}).items()
        lacking += [(name, document.place((section, name), key=True)) for name, one in entries if "source" not in one and not one.keys() <= {"handbook"}]
    lacking += [(f"row {i + 1}", document.place(("quality", i))) for i, one in enumerate(data.get("quality") or ()) if "source" not in one]
    lacking += [(path[-1], document.place(path, key=True)) for path, row in matrix_rows(data) if any("source" not in one for _, one in row)]
    if "engine" in data and "source" not in data and (data.keys() & {"title", "options"}):
        lacking.append((data["engine"], document.place(("engine",))))
    yield from (Problem("no-source", f"{what} names no source", place) for what, place in lacking)

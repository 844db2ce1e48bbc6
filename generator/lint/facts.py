"""Facts against facts: versions of flags and images that overlap, numbers by version out of order, entries without a source.

Floor 1, pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

from generator.errors import Place, Problem
from generator.overlay import Gathered
from generator.quantity import version_key
from generator.source import Document, KeyPath

FIRST: tuple[int, ...] = ()


def fact_findings(gathered: Gathered) -> Iterator[Problem]:
    """Everything that can be proved of engines, thresholds by version, and sources of facts."""
    for document in gathered.documents.values():
        data = document.data
        if not isinstance(data, dict):
            continue
        if "engine" in data and not data.keys() & {"support", "options"}:
            yield from _engine(document, gathered.merged["engines"].get(data["engine"]) or data)
        for name, entry in (data.get("thresholds") or {}).items():
            yield from _by_version(document, ("thresholds", name, "by_version"), entry.get("by_version") or ())
        yield from _without_source(document)


def _engine(document: Document, engine: Mapping[str, Any]) -> Iterator[Problem]:
    data, known = document.data, {version_key(v) for v in engine["versions"]}
    for setting, entries in (data.get("flags") or {}).items():
        yield from _ranges(document, ("flags", setting), setting, entries, known)
    images: dict[str, list[tuple[int, Mapping[str, Any]]]] = {}
    for i, entry in enumerate(data.get("images") or ()):
        images.setdefault(entry["vendor"], []).append((i, entry))
    for vendor, found in images.items():
        for (_, one), (j, other) in combinations(found, 2):
            if _meet(one, other):
                yield Problem("versions-overlap", f"two images for {vendor} hold for one version", document.place(("images", j)))
    if "default_version" in data and version_key(data["default_version"]) not in known:
        yield Problem("unknown-version", f"{data['default_version']!r} is not among the versions", document.place(("default_version",)))


def _ranges(document: Document, path: KeyPath, name: str, entries: Sequence[Mapping[str, Any]], known: set[Any]) -> Iterator[Problem]:
    for i, entry in enumerate(entries):
        for key in ("since", "until"):
            if key in entry and version_key(entry[key]) not in known:
                yield Problem(
                    "unknown-version", f"{name}: {key} {entry[key]!r} is not among the engine's versions", document.place((*path, i, key))
                )
        if "since" in entry and "until" in entry and version_key(entry["since"]) >= version_key(entry["until"]):
            yield Problem(
                "empty-range", f"{name}: no version is from {entry['since']} and before {entry['until']}", document.place((*path, i))
            )
    for (_, one), (j, other) in combinations(enumerate(entries), 2):
        if _meet(one, other):
            yield Problem("versions-overlap", f"two spellings of {name} hold for one version", document.place((*path, j)))


def _meet(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two ranges of versions have one in common; `until` is the first that is out."""

    def before(a: Mapping[str, Any], b: Mapping[str, Any]) -> bool:
        return "until" in a and "since" in b and version_key(a["until"]) <= version_key(b["since"])

    return not before(one, other) and not before(other, one)


def _by_version(document: Document, path: KeyPath, rows: Sequence[Mapping[str, Any]]) -> Iterator[Problem]:
    for i in range(1, len(rows)):
        if version_key(rows[i - 1]["since"]) >= version_key(rows[i]["since"]):
            yield Problem(
                "versions-overlap", f"{path[1]}: {rows[i]['since']} does not come after {rows[i - 1]['since']}", document.place((*path, i))
            )


def _without_source(document: Document) -> Iterator[Problem]:
    """Entries of facts that say nobody's word: each GPU, model, method, cell row and number needs one."""
    data = document.data
    for section in ("gpus", "models", "methods", "architectures", "ggml_types", "dtypes"):
        for name, entry in (data.get(section) or {}).items():
            if "source" not in entry and not entry.keys() <= {"handbook"}:
                yield _no_source(name, document.place((section, name), key=True))
    for i, entry in enumerate(data.get("quality") or ()):
        if "source" not in entry:
            yield _no_source(f"row {i + 1}", document.place(("quality", i)))
    for section, rows in (("support", data.get("support")), *(("kv_cache", part) for part in (data.get("kv_cache") or {}).values())):
        for name, row in (rows or {}).items():
            if "source" not in row:
                base: KeyPath = (section, name) if section == "support" else (section,)
                yield _no_source(name, document.place(base, key=True))
    if "engine" in data and "source" not in data and (data.keys() & {"title", "options"}):
        yield _no_source(data["engine"], document.place(("engine",)))


def _no_source(what: str, place: Place) -> Problem:
    return Problem("no-source", f"{what} names no source", place)

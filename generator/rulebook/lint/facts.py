"""Consistency of facts: overlapping versions of flags and images, unordered values by version, entries without a source. Floor 1, pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

from generator.errors import Place, Problem
from generator.quantity import version_key
from generator.readers.document import Document, KeyPath
from generator.rulebook.lint.layers import looked_at
from generator.rulebook.lint.options import meet, option_findings, range_findings
from generator.rulebook.matrix import WHEN, cell_of, matrix_rows, word_of
from generator.rulebook.overlay import Data, Gathered


def fact_findings(gathered: Gathered, shared: bool = False) -> Iterator[Problem]:
    """All findings for engines, thresholds by version, and sources of facts.

    Option catalogues are checked for the set itself, with `shared` also those of the shared facts."""
    files = looked_at(gathered, shared)
    for document in gathered.documents.values():
        data = document.data
        if not isinstance(data, dict):
            continue
        if "engine" in data and not data.keys() & {"support", "options"}:
            yield from _engine(document, gathered.merged["engines"].get(data["engine"]) or data)
        if "options" in data and document.name in files:
            yield from option_findings(document)
        for name, entry in (data.get("thresholds") or {}).items():
            yield from _by_version(document, ("thresholds", name, "by_version"), entry.get("by_version") or ())
        yield from _without_source(document)
        yield from _matrix(gathered, document)


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
        for at, one in row:
            if "since" in one and "until" in one and version_key(one["since"]) >= version_key(one["until"]):
                yield Problem("empty-range", f"{name}: no version lies between {one['since']} and {one['until']}", document.place(at))
        for (_, one), (at, other) in combinations(row, 2):
            same = one.get("shape") in (None, other.get("shape")) and any(key in other for key in WHEN) and meet(one, other)
            if same and any(word_of(one, generation, known) and word_of(other, generation, known) for generation in known):
                yield Problem("versions-overlap", f"{name}: an earlier statement says something of the same hardware and counts", document.place(at))


def _engine(document: Document, engine: Data) -> Iterator[Problem]:
    data, known = document.data, {version_key(v) for v in engine["versions"]}
    for setting, entries in (data.get("flags") or {}).items():
        yield from range_findings(document, ("flags", setting), setting, entries, known)
    images: dict[str, list[tuple[int, Mapping[str, object]]]] = {}
    for i, entry in enumerate(data.get("images") or ()):
        for kind in entry.get("architectures", ("",)):
            images.setdefault(" ".join(filter(None, (entry["vendor"], entry.get("back_end"), kind))), []).append((i, entry))
    for vendor, found in images.items():
        for (_, one), (j, other) in combinations(found, 2):
            if meet(one, other):
                yield Problem("versions-overlap", f"two images for {vendor} apply to the same version", document.place(("images", j)))
    if "default_version" in data and version_key(data["default_version"]) not in known:
        yield Problem("unknown-version", f"{data['default_version']!r} is not among the versions", document.place(("default_version",)))


def _by_version(document: Document, path: KeyPath, rows: Sequence[Mapping[str, object]]) -> Iterator[Problem]:
    for i in range(1, len(rows)):
        if version_key(rows[i - 1]["since"]) >= version_key(rows[i]["since"]):
            yield Problem("versions-overlap", f"{path[1]}: {rows[i]['since']} does not come after {rows[i - 1]['since']}", document.place((*path, i)))


def _without_source(document: Document) -> Iterator[Problem]:
    """Entries of facts without a source: each GPU, model, method, cell row and number needs one."""
    data = document.data
    for section in (
        "gpus", "gpu_names", "models", "methods", "architectures", "ggml_types", "dtypes", "quantizers", "training_jobs", "gates", "families",
        "publishers", "hubs",
    ):  # fmt: skip
        for name, entry in (data.get(section) or {}).items():
            if "source" not in entry and not entry.keys() <= {"handbook"}:
                yield _no_source(name, document.place((section, name), key=True))
    for i, entry in enumerate(data.get("quality") or ()):
        if "source" not in entry:
            yield _no_source(f"row {i + 1}", document.place(("quality", i)))
    for path, row in matrix_rows(data):
        if any("source" not in one for _, one in row):
            yield _no_source(str(path[-1]), document.place(path, key=True))
    if "engine" in data and "source" not in data and (data.keys() & {"title", "options"}):
        yield _no_source(data["engine"], document.place(("engine",)))


def _no_source(what: str, place: Place) -> Problem:
    return Problem("no-source", f"{what} names no source", place)

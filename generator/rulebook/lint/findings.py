"""All lint findings of one rule set, in file order. Floor 1, pure: the caller gives the current day. Of facts:
spans of versions that are empty or overlap (`since` is the first version with an entry, `until` the first without it; both are optional),
hardware of which nothing is said, entries without a source. Of the topmost layer: replacements without a right `replaces`, and entries
added that nothing reads; what the code reads of the shipped rules, a test compares (`tests/lint/test_unused.py`)."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import date
from itertools import combinations, pairwise
from typing import Any

from generator.errors import Place, Problem
from generator.quantity import version_key
from generator.readers.document import Document, KeyPath
from generator.readers.problems import in_order
from generator.record import dataclass
from generator.rulebook.lint.tables import table_findings
from generator.rulebook.overlay import MERGED, Data, Gathered
from generator.rulebook.rules_check import cited, words_of
from generator.rulebook.table import WHEN, bounds_of, cell_of, matrix_rows, names_read, word_of


@dataclass(frozen=True, slots=True)
class Reached:
    """The rows reached by cases and examples, as (table, row id)."""

    rows: frozenset[tuple[str, str]]
    looked_at: int


def findings(gathered: Gathered, today: date, months: int, reached: Reached | None = None, shared: bool = False) -> list[Problem]:
    """All findings: only loading errors if the set does not load, else every proof.

    `reached` None skips findings that need cases; `shared` includes the facts that several sets share."""
    found = list(gathered.problems)
    if not found:
        found += table_findings(gathered)
        found += fact_findings(gathered, shared)
        found += _ages(gathered, today, months)
        found += layer_findings(gathered)
        found += _row_sources(gathered)
        if reached is not None:
            found += _not_reached(gathered, reached)
    return in_order(found)


def _ages(gathered: Gathered, today: date, months: int) -> Iterator[Problem]:
    """Sources not read, and thresholds not checked, for `months` months; invalid or future dates."""
    for section, key in (("sources", "read"), ("thresholds", "checked")):
        what = section.removesuffix("s")
        for name, entry in gathered.merged[section].items():
            where = gathered.place(section, name)
            place = gathered.documents[where.path].place((section, name, key)) if key in entry else where
            try:
                day = date.fromisoformat(str(entry.get(key)))
            except ValueError:
                yield Problem("no-date", f"{what} {name!r} lacks the date it was {key} (2026-11-24)", place)
                continue
            age = (today.year - day.year) * 12 + today.month - day.month - (today.day < day.day)
            if day > today:
                yield Problem("future-date", f"{what} {name!r} was {key} on {day}, which is in the future", place, "warning")
            elif age >= months:
                yield Problem(f"stale-{what}", f"{what} {name!r} was last {key} {age} months ago, on {day}", place, "warning")


def _row_sources(gathered: Gathered) -> Iterator[Problem]:
    """Rows without a source that read no fact with a source, and no threshold, which has its own."""
    bring = {"support", "kv_cache", "quality", "engines", "models", "gpus", "methods", "architectures"}
    names, thresholds = gathered.merged["names"], gathered.merged["thresholds"]
    for table, row, place in gathered.own_rows():
        cited = any(names[one].get("origin") in bring for one in names_read(row)) or any(bound in thresholds for bound in bounds_of(row))
        if row.get("source") is None and not cited:
            yield Problem("no-source", f"row {row['id']!r} of `{table}` names no source", place, "warning")


def _not_reached(gathered: Gathered, reached: Reached) -> Iterator[Problem]:
    """Rows that nothing reaches; what reads a measurement is reached in an owner's rule set, which brings it."""
    names = gathered.merged["names"]
    for table, row, place in gathered.own_rows():
        if (table, row["id"]) not in reached.rows and not any(names[one].get("origin") == "measurement" for one in names_read(row)):
            yield Problem("not-reached", f"no case and no example reaches the row {row['id']!r} of `{table}` ({reached.looked_at} checked)", place)


UNUSED = {
    "thresholds": ("warning", "neither rows nor code read the threshold"),
    "sources": ("warning", "nothing refers to the source"),
    "names": ("note", "no row reads the name"),
}
LOWER_LAYERS = 3
"""Those below a set which extends another: physics, shared facts, at least one set."""


def layer_findings(gathered: Gathered) -> Iterator[Problem]:
    """Replacements with a missing or outdated `replaces`; entries without effect (names are notes: future rules may read them)."""
    tables, own, read = gathered.merged["tables"], gathered.own, words_read(gathered)
    for (section, name), steps in gathered.steps.items():
        step = steps[-1]
        if step.place.path not in own or step.action == "off":
            continue
        if section in UNUSED and name not in read and len(gathered.layers) > LOWER_LAYERS and all(one.place.path in own for one in steps):
            severity, message = UNUSED[section]
            yield Problem(f"unused-{section[:-1]}", f"{message} {name!r}", step.place, severity)
        if step.below is None or (step.claimed is None and step.action != "replaced"):
            continue
        below = steps[-2]
        what = f"row {name!r}" if section in tables else f"{section.rstrip('s')} {name!r}"
        if step.claimed is None:
            message = f"{what} replaces {below.place}; add `replaces: {step.below}`, so that lint reports an upgrade that changes it"
            yield Problem("replaces-missing", message, step.place, "warning")
        elif str(step.claimed) != step.below:
            row = next((row for row in tables[section]["rows"] if row["id"] == name), None) if section in tables else None
            place = gathered.in_row(row, "replaces") if row else gathered.documents[step.place.path].place((section, name, "replaces"))
            message = f"the entry replaced by {what} has changed since ({below.place}): review it, then set `replaces: {step.below}`"
            yield Problem("replaced-changed", message, place, "warning")


def words_read(gathered: Gathered) -> set[object]:
    """The names, thresholds, settings and sources that rows and facts read or cite."""
    data = [document.data for document in gathered.documents.values()]
    rows = [row for one in data if "table" in one for row in one.get("rows") or ()]
    found: set[object] = {word for row in rows for word in (*words_of(row), *names_read(row))}
    found |= {word for entry in gathered.merged["architectures"].values() for word in (entry.get("speed") or {}).values()}
    trained = [part for job in gathered.merged["training_jobs"].values() for part in (job, *job["methods"].values())]
    found |= {word for part in trained for section in part.get("numbers", {}).values() for word in section.values()}
    return found | {word for one in data for _, word in cited(one)}


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

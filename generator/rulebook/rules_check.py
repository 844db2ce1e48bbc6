"""Safety checks of a rule set: every name, value, threshold and source is known, and each entry of the facts has its required keys.

Floor 1. The schemas check the form of each file. Reports all problems at once; `lint` adds proofs (shadowed rows, gaps)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Protocol

from generator.errors import Place, Problem, did_you_mean
from generator.readers.document import KeyPath
from generator.rulebook.overlay import Data, Gathered
from generator.rulebook.table import ABOUT, COMPARISONS, ESTIMATES, EVERY, LABELS, STAGES, UNCERTAINTY, bounds_of, matrix_rows, spans

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


NEEDED: dict[str, tuple[str, ...]] = {
    "gpus": ("vendor", "architecture"),
    "architectures": ("vendor", "title", "computes", "back_end"),
    "methods": ("family", "weight_bits", "activation_bits", "checkpoint"),
    "engines": (
        "title", "status", "formats", "vendors", "default_version", "versions", "port", "images", "flags", "command", "version_command", "health", "smoke",
        "bench", "container",
    ),
    "flags": ("versions", "syntax", "commands", "options"),
    "quantizers": ("title", "version", "layout"),
}  # fmt: skip
"""Required keys of an entry after merging all layers."""
CONTAINER = ("port", "prefix", "cache_path", "shm_gib", "probe", "health_check")
KEY_OF = {"env": "env", "modelfile": "parameter", "config": "key"}
"""Required keys of a spelling, by its location."""


def fact_problems(gathered: Gathered) -> Iterator[Problem]:
    """All problems of the merged facts, at the entries' places."""
    merged = gathered.merged
    for section, needed in NEEDED.items():
        for name, entry in merged[section].items():
            if "like" not in entry or entry["like"] in merged[section]:
                yield from _missing(gathered, section, name, entry, needed)
    for name, entry in merged["engines"].items():
        yield from _missing(gathered, "engines", name, entry.get("container") or {}, CONTAINER, repr(f"the container of {name}"))
        yield from _spellings(gathered, name, entry)
    for name, entry in merged["gpus"].items():
        yield from _known(gathered, "gpus", name, "architecture", entry.get("architecture"))
        if entry.get("vendor") != "cpu" and entry.get("capacity_gib") is None:
            yield from _missing(gathered, "gpus", name, entry, ("memory_gb",))
    for name, entry in merged["architectures"].items():
        yield from _known(gathered, "architectures", name, "architecture", entry.get("like"))
        yield from _known(gathered, "architectures", name, "threshold", *(entry.get("speed") or {}).values())
    for name, entry in merged["methods"].items():
        yield from _missing(gathered, "methods", name, {}, ("gguf",) if entry.get("family") == "gguf" and not entry.get("gguf") else ())
        yield from _known(gathered, "methods", name, "ggml_type", *_types(entry.get("gguf") or {}))
    for kind, name in (merged["ruleset"].get("fallback") or {}).items():
        if name not in merged.get(f"{kind}s", {}):
            near = did_you_mean(str(name), merged.get(f"{kind}s", {}))
            yield Problem("unknown-fallback", f"the fallback {kind} {name!r} is not in the catalogue{near}", gathered.top)
    yield from _matrices(gathered)
    yield from _families(gathered)


def _missing(gathered: Gathered, section: str, name: str, entry: Data, needed: Iterable[str], what: str = "") -> Iterator[Problem]:
    for one in needed:
        if entry.get(one) is None:
            yield Problem("missing-key", f"{what or repr(name)} lacks the key {one}", gathered.place(section, name))


def _known(gathered: Gathered, section: str, name: str, kind: str, *words: object) -> Iterator[Problem]:
    known: Data = gathered.merged["families" if kind == "family" else f"{kind}s"]
    for word in words:
        if word is not None and word not in known:
            message = f"{word!r} is no {kind.replace('_', ' ')}{did_you_mean(str(word), known)}"
            yield Problem(f"unknown-{kind.replace('_', '-')}", message, gathered.place(section, name))


def _families(gathered: Gathered) -> Iterator[Problem]:
    """The families that an entry takes over or wraps are there, and none is like itself."""
    families = gathered.merged["families"]
    for name, entry in families.items():
        yield from _known(gathered, "families", name, "family", entry.get("like"), entry.get("text"))
        seen, at = [name], entry.get("like")
        while at in families and at not in seen:
            seen.append(at)
            at = families[at].get("like")
        if at == name:
            yield Problem("family-loop", f"{name!r} is like itself: {' → '.join([*seen, name])}", gathered.place("families", name))


def _types(value: object) -> Iterator[str]:
    for key, part in value.items() if isinstance(value, dict) else ():
        for one in part if isinstance(part, list) else [part]:
            if isinstance(one, dict):
                yield from one if key == "attn_v" and "type" not in one else ()
                yield from _types(one)
            elif isinstance(one, str) and key not in ("where", "imatrix"):
                yield one


def _spellings(gathered: Gathered, name: str, entry: Data) -> Iterator[Problem]:
    """Each setting has the spelling for its location: on the command line, or in the engine's own file."""
    file = entry.get("config_file") or {}
    whole = file.get("format") == "yaml" and "holds" not in file
    for setting, spellings in (entry.get("flags") or {}).items():
        for one in spellings:
            where = one.get("where", "argv")
            if where in KEY_OF:
                lacks = [KEY_OF[where]] if KEY_OF[where] not in one else []
            else:
                lacks = (["flag"] if not one.keys() & {"flag", "positional"} else []) + (["key"] if whole and "key" not in one else [])
            if setting == "kv_cache_dtype" and "choices" in one and "auto" not in [*one["choices"], *(one.get("values") or {})]:
                lacks.append("values.auto")
            yield from _missing(gathered, "engines", name, {}, lacks, f"{setting!r} of {name}")


def _matrices(gathered: Gathered) -> Iterator[Problem]:
    """Matrix rows name known hardware, and each of their spans begins elsewhere."""
    architectures, dtypes = gathered.merged["architectures"], gathered.merged["kv_cache"].get("dtypes", {})
    known = (*architectures, *dict.fromkeys(entry.get("vendor") for entry in architectures.values()), EVERY)
    if "auto" not in dtypes:
        yield Problem("missing-key", "the facts lack the KV cache types (`dtypes`), including `auto`", gathered.top)
    for document in gathered.documents.values():
        for path, row in matrix_rows(document.data):
            name = str(path[-1])
            if path[0] == "kv_cache" and name not in dtypes:
                yield Problem("unknown-dtype", f"{name!r} is not a KV cache type{did_you_mean(name, dtypes)}", document.place(path, key=True))
            for base, one in row:
                for key in [key for key in one if key not in known and key not in ABOUT]:
                    at = document.place((*base, key), key=True)
                    yield Problem("unknown-architecture", f"{key!r} is not a known architecture or maker{did_you_mean(key, known)}", at)
                for maker, cell in [(key, cell) for key, cell in one.items() if isinstance(cell, dict)]:
                    starts = [start for start, _ in spans(cell)]
                    for n in [n for n, start in enumerate(starts) if start in starts[:n]]:
                        at = document.place((*base, maker, list(cell)[n]), key=True)
                        yield Problem("spans-overlap", f"two spans of {maker} begin at {starts[n]:g}", at)

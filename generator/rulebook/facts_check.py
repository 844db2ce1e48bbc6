"""Checks of a rule set's merged facts: required keys of each entry, and known names only.

Floor 1. The schemas check the form of each file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from generator.errors import Problem, did_you_mean
from generator.rulebook.matrix import ABOUT, EVERY, matrix_rows, spans
from generator.rulebook.overlay import Data, Gathered

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

"""Checks of the facts of a rule set, merged from all its layers: what each entry must say in the end, and that it names what there is.

Floor 1. The form of each file is the schemas' part.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from generator.errors import Problem, did_you_mean
from generator.rulebook.overlay import Gathered

Data = Mapping[str, Any]

NEEDED: dict[str, tuple[str, ...]] = {
    "gpus": ("vendor", "architecture"),
    "methods": ("family", "weight_bits", "activation_bits", "checkpoint"),
    "engines": (
        "title", "status", "formats", "vendors", "default_version", "versions", "port", "images", "flags", "command", "version_command", "health", "smoke",
        "bench", "container",
    ),
    "flags": ("versions", "syntax", "commands", "options"),
    "quantizers": ("title", "version", "layout"),
}  # fmt: skip
"""What an entry must say in the end, whichever layers it comes from."""
CONTAINER = ("port", "prefix", "cache_path", "shm_gib", "probe", "health_check")
NO_ARCHITECTURE = ("notes", "source", "needs")
"""Keys of a row of a matrix that are no architecture."""
KEY_OF = {"env": "env", "modelfile": "parameter", "config": "key"}
"""What a spelling must say, by where it is written."""


def fact_problems(gathered: Gathered) -> Iterator[Problem]:
    """Every problem of the merged facts, at the entry's place."""
    merged = gathered.merged
    for section, needed in NEEDED.items():
        for name, entry in merged[section].items():
            yield from _lacking(gathered, (section, name), name, entry, needed)
    for name, entry in merged["engines"].items():
        yield from _lacking(gathered, ("engines", name), f"the container of {name}", entry.get("container") or {}, CONTAINER)
        yield from _spelled(gathered, name, entry)
    for name, entry in merged["gpus"].items():
        yield from _known(gathered, ("gpus", name), entry.get("architecture"), "architecture", merged["architectures"])
        if entry.get("vendor") != "cpu" and entry.get("capacity_gib") is None:
            yield from _lacking(gathered, ("gpus", name), name, entry, ("memory_gb",))
    for name, entry in merged["methods"].items():
        if entry.get("family") == "gguf" and not entry.get("gguf"):
            yield Problem("missing-key", f"{name!r} does not say its gguf", gathered.place("methods", name))
        for word in _types(entry.get("gguf") or {}):
            yield from _known(gathered, ("methods", name), word, "ggml_type", merged["ggml_types"])
    for kind, name in (merged["ruleset"].get("fallback") or {}).items():
        if name not in merged.get(f"{kind}s", {}):
            near = did_you_mean(str(name), merged.get(f"{kind}s", {}))
            yield Problem("unknown-fallback", f"the fallback {kind} {name!r} is not in the catalogue{near}", gathered.top)
    yield from _matrices(gathered)


def _lacking(gathered: Gathered, key: tuple[str, str], name: str, entry: Data, needed: tuple[str, ...]) -> Iterator[Problem]:
    for one in needed:
        if entry.get(one) is None:
            yield Problem("missing-key", f"{name!r} does not say its {one}", gathered.place(*key))


def _known(gathered: Gathered, key: tuple[str, str], word: object, kind: str, known: Data) -> Iterator[Problem]:
    if word is not None and word not in known:
        yield Problem(f"unknown-{kind.replace('_', '-')}", f"{word!r} is no {kind.replace('_', ' ')}{did_you_mean(str(word), known)}", gathered.place(*key))


def _types(value: object) -> Iterator[str]:
    """The GGML types that a mixture names."""
    for key, part in value.items() if isinstance(value, dict) else ():
        for one in part if isinstance(part, list) else [part]:
            if isinstance(one, dict):
                yield from one if key == "attn_v" and "type" not in one else ()
                yield from _types(one)
            elif isinstance(one, str) and key not in ("where", "imatrix"):
                yield one


def _spelled(gathered: Gathered, name: str, entry: Data) -> Iterator[Problem]:
    """Each setting has the word for where it is written: on the command line, or in the engine's own file."""
    file = entry.get("config_file") or {}
    whole = file.get("format") == "yaml" and "holds" not in file
    for setting, spellings in (entry.get("flags") or {}).items():
        for one in spellings:
            where = one.get("where", "argv")
            if where != "argv":
                lacks = [KEY_OF[where]] if KEY_OF[where] not in one else []
            else:
                lacks = (["flag"] if not one.keys() & {"flag", "positional"} else []) + (["key"] if whole and "key" not in one else [])
            for key in lacks:
                yield Problem("missing-key", f"{setting!r} of {name} does not say its {key}", gathered.place("engines", name))


def _matrices(gathered: Gathered) -> Iterator[Problem]:
    """Rows of the matrices name architectures that there are."""
    known, dtypes = gathered.merged["architectures"], gathered.merged["kv_cache"].get("dtypes", {})
    if "auto" not in dtypes:
        yield Problem("missing-key", "the facts do not say the types of the KV cache (`dtypes`), among them `auto`", gathered.top)
    for document in gathered.documents.values():
        data = document.data if isinstance(document.data, dict) else {}
        found: list[tuple[tuple[str, ...], Data]] = [(("support",), data.get("support") or {})]
        found += [(("kv_cache", engine), rows) for engine, rows in (data.get("kv_cache") or {}).items()]
        for path, rows in found:
            for method, row in rows.items():
                if path[0] == "kv_cache" and method not in dtypes:
                    at = document.place((*path, method), key=True)
                    yield Problem("unknown-dtype", f"{method!r} is no type of the KV cache{did_you_mean(method, dtypes)}", at)
                for key in row:
                    if key not in known and key not in NO_ARCHITECTURE:
                        at = document.place((*path, method, key), key=True)
                        yield Problem("unknown-architecture", f"{key!r} is no architecture{did_you_mean(key, known)}", at)

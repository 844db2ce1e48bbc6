"""Unused entries: thresholds, sources, settings and names that neither rows nor code read.

Floor 1; reads the package's own modules to find the names used there."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from pathlib import Path

from generator.errors import Problem
from generator.readers.resources import folder
from generator.rulebook.lint.layers import looked_at
from generator.rulebook.overlay import Gathered
from generator.rulebook.rules_check import cited
from generator.rulebook.table import bounds_of, names_read

_WORD = re.compile(r"\"([A-Za-z0-9_.-]+)\"")
_PATTERN = re.compile(r"f\"([A-Za-z0-9_.-]*(?:\{[^}\"]+\}[A-Za-z0-9_.-]*)+)\"")
_CITED = re.compile(r"`([a-z0-9.-]+)`")
"""A source key in a docstring."""
_HOLE = re.compile(r"\{[^}]+\}")
LEAST = 4
"""Minimum length of the fixed part of a name composed in code."""


@lru_cache(1)
def _texts() -> tuple[str, ...]:
    """The package's modules, lint's own excepted, and the data that they read."""
    modules = [path for path in Path(__file__).resolve().parents[2].rglob("*.py") if path.parent.name != "lint"]
    return tuple(path.read_text(encoding="utf-8") for path in (*modules, *folder("rules").glob("*.json")))


@lru_cache(1)
def _cited() -> frozenset[str]:
    return frozenset(word for text in _texts() for word in _CITED.findall(text))


@lru_cache(1)
def _code() -> tuple[frozenset[str], tuple[re.Pattern[str], ...]]:
    """All quoted words in the package's modules (except lint's own), and all names composed there."""
    texts = _texts()
    words = frozenset(word for text in texts for word in _WORD.findall(text))
    made = {found for text in texts for found in _PATTERN.findall(text) if len(_HOLE.sub("", found).strip(".")) >= LEAST}
    patterns = [re.compile("[a-z0-9_.-]+".join(re.escape(part) for part in _HOLE.split(found))) for found in sorted(made) if "." in found]
    return words, tuple(patterns)


def in_code(name: str) -> bool:
    """Whether the code uses a name, literally or composed. Without readable code, every name counts as used."""
    words, patterns = _code()
    return not words or name in words or name[name.find(".") :] in words or any(p.fullmatch(name) for p in patterns)


def unused_findings(gathered: Gathered, beside: Iterable[object] = (), shared: bool = False) -> Iterator[Problem]:
    """Entries of a set that could be removed without effect.

    `shared` includes the facts shared by several sets; `beside` is the data of those sets' files. Unused names are notes:
    future rules may read them."""
    files = looked_at(gathered, shared)
    data = [*beside, *(document.data for document in gathered.documents.values())]
    bounds, written, keys, read = set[str](), set[str](), set[str](), set[str]()
    for row in (row for one in data if isinstance(one, dict) and "table" in one for row in one.get("rows") or ()):
        read |= names_read(row)
        bounds |= bounds_of(row)
        written |= {value for value in (row.get("set") or {}).values() if isinstance(value, str)}
        keys |= set(row.get("set") or {})
    written |= {word for entry in gathered.merged["architectures"].values() for word in (entry.get("speed") or {}).values()}
    trained = [part for job in gathered.merged["training_jobs"].values() for part in (job, *job["methods"].values())]
    written |= {word for part in trained for section in part.get("numbers", {}).values() for word in section.values()}
    spelled = {key for engine in gathered.merged["engines"].values() for key in engine["flags"]}
    sources = {word for one in data for _, word in cited(one)}
    unused: dict[str, Callable[[str], bool]] = {
        "thresholds": lambda name: name not in bounds | written and not in_code(name),
        "settings": lambda name: name not in keys | spelled and not in_code(name),
        "sources": lambda name: name not in sources and name not in _cited() and not in_code(name),
        "names": lambda name: name not in read | written,
    }
    for section, is_unused in unused.items():
        for name in gathered.merged[section]:
            place = gathered.place(section, name)
            if place.path in files and is_unused(name):
                severity = "note" if section == "names" else "warning"
                yield Problem(f"unused-{section[:-1]}", f"{WHO[section]} {name!r}", place, severity)


WHO = {
    "thresholds": "neither rows nor code read the threshold",
    "settings": "no row sets, and no engine spells, the setting",
    "sources": "nothing refers to the source",
    "names": "no row reads the name",
}

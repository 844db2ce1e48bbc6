"""The engine versions of a spec, and what the matrices say of a method and a type of KV cache.

Floor 2, pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from generator.quantity import version_key
from generator.rulebook import RuleBook


@dataclass(frozen=True, slots=True)
class Engine:
    """One engine at one version; `listed` is false for a version that is not in the catalogue."""

    name: str
    version: str
    listed: bool
    facts: Mapping[str, Any]

    def has(self, setting: str) -> bool:
        """Whether this version can spell a setting."""
        return self.spelling(setting) is not None

    def spelling(self, setting: str) -> Mapping[str, Any] | None:
        """The entry of `flags` that holds for this version; None where there is none."""
        key = version_key(self.version)
        for entry in self.facts["flags"].get(setting, ()):
            since, until = entry.get("since"), entry.get("until")
            if (since is None or version_key(since) <= key or not self.listed) and (until is None or key < version_key(until)):
                return dict(entry)
        return None


def resolve_engine(name: str, version: str | None, book: RuleBook) -> Engine:
    """An engine at a version, its default one if none is asked for."""
    facts = book.section("engines")[name]
    wanted = version or facts["default_version"]
    same = {version_key(v): v for v in facts["versions"]}
    listed = same.get(version_key(wanted))
    return Engine(name, listed or wanted, listed is not None, facts)


def support_of(book: RuleBook, engine: str, key: str, architecture: str) -> tuple[str, str | None]:
    """The cell of the matrix engine × method × architecture, and its first source; a missing row is unknown."""
    row = book.section("support").get(engine, {}).get("support", {}).get(key)
    return _cell(row, architecture)


def kv_support_of(book: RuleBook, engine: str, dtype: str, architecture: str) -> tuple[str, str | None]:
    """The cell of the matrix engine × type of KV cache × architecture, and its first source."""
    row = book.section("kv_cache").get(engine, {}).get(dtype)
    return _cell(row, architecture)


def _cell(row: Mapping[str, Any] | None, architecture: str) -> tuple[str, str | None]:
    if row is None:
        return "unknown", None
    source = row.get("source")
    first = source[0] if isinstance(source, list) and source else source
    return str(row.get(architecture, "unknown")), None if first is None else str(first)

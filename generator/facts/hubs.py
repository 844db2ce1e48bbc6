"""What model hubs beside Hugging Face call the repositories of the catalogue, and how engines load from them. Floor 3, pure. A repository
that no source lists for a hub may be there all the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from generator.rulebook.book import RuleBook
from generator.rulebook.memo import remembered
from generator.spec.deployment import HUGGING_FACE


@remembered
def names_on(book: RuleBook, hub: str | None) -> Mapping[str, str]:
    """A hub's names of the catalogue's repositories; none for Hugging Face (None), whose names these are."""
    entry = book.section("hubs")[hub] if hub else {}
    return {**{name: name for name in entry.get("same", ())}, **entry.get("names", {})}


def known_on(book: RuleBook, hub: str | None, repository: str) -> bool:
    """Whether the catalogue knows that a hub has a repository under this name; always for Hugging Face (None)."""
    return hub is None or repository in names_on(book, hub).values()


def way_of(facts: Mapping[str, Any], hub: str | None) -> Mapping[str, Any]:
    """How an engine (its facts) loads from a hub: variables, prefix of names, cache; `refused` where it does not. Nothing said: like its own client."""
    unsaid = {} if hub in (None, HUGGING_FACE) else {"refused": "not known to load from there"}
    found: Mapping[str, Any] = (facts.get("loads_from") or {}).get(hub or HUGGING_FACE, unsaid)
    return found

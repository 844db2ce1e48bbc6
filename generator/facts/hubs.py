"""What model hubs beside Hugging Face call the repositories of the catalogue.

Floor 3, pure. A repository that no source lists for a hub may be there all the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from generator.rulebook.book import RuleBook
from generator.rulebook.memo import remembered
from generator.spec.deployment import ModelRequest

HUGGING_FACE = "huggingface"


def names_on(book: RuleBook, request: ModelRequest) -> Mapping[str, str]:
    """The hub's names of the catalogue's repositories, for a model that is loaded from another hub than Hugging Face; else none."""
    return _names(book, request.hub) if request.hub not in (None, HUGGING_FACE) and not request.path else {}


def known_on(book: RuleBook, request: ModelRequest, repository: str) -> bool:
    """Whether nothing speaks against a hub's having a repository under this name: it is Hugging Face, or its list has the name."""
    there = names_on(book, request)
    return not there or repository in there.values()


@remembered
def _names(book: RuleBook, hub: str) -> Mapping[str, str]:
    entry = book.section("hubs").get(hub, {})
    return {**{name: name for name in entry.get("same", ())}, **entry.get("names", {})}


def way_of(facts: Mapping[str, Any], hub: str | None) -> Mapping[str, Any]:
    """How an engine (its facts) loads from a hub: variables, prefix of names, cache; `refused` where it does not. Nothing said: like its own client."""
    unsaid = {} if hub in (None, HUGGING_FACE) else {"refused": "not known to load from there"}
    found: Mapping[str, Any] = (facts.get("loads_from") or {}).get(hub, unsaid)
    return found

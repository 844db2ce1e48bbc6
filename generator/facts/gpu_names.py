"""The card that a name means, however makers, drivers and shops write it. Floor 3, pure. Words that tell no card from another, and
accelerators that no engine here serves, are facts (`gpu_names`)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from generator.errors import fold
from generator.rulebook.book import RuleBook
from generator.rulebook.memo import remembered

if TYPE_CHECKING:  # every start would pay for building the types
    from generator.rulebook.sections import Entry

_SIZE = re.compile(r"(\d+)\s*g(?:i?b)?(?![a-z0-9])")
_LONGEST = 100
_WORD = re.compile(r"[a-z0-9.]+")


def card_of(book: RuleBook, wanted: str) -> str | None:
    """The catalogue's name of a card; None where it means none, or several. A catalogue name whose unit was cut short (`H100-80G`) is a
    slip, not a spelling of shops."""
    if fold(wanted + "b") in book.index("gpus") and wanted[-2:-1].isdigit() and "-" in wanted:
        return None
    return book.index("gpus").get(fold(wanted)) or _cards(book).get(key_of(book, wanted))


def sizes_of(book: RuleBook, wanted: str) -> list[str]:
    """The cards that a name without a memory size may mean."""
    key = key_of(book, wanted)
    rest = re.compile(re.escape(key) + r"(pcie|nvl)?[1-9]\d*gb") if key else None
    return sorted({name for card, name in _cards(book).items() if rest is not None and rest.fullmatch(card)})


def served_elsewhere(book: RuleBook, wanted: str) -> tuple[str, str] | None:
    """The family of an accelerator that no engine of the catalogue serves, and what does."""
    word, key = fold(wanted), key_of(book, wanted)
    for family, entry in book.section("gpu_names").items():
        if any(start in (word[: len(start)], key[: len(start)]) for start in map(fold, entry.get("elsewhere", ()))):
            return family, entry["use"]
    return None


@remembered
def _cards(book: RuleBook) -> Mapping[str, str]:
    gpus = book.section("gpus")
    found = {key_of(book, alias): name for name, entry in gpus.items() for alias in entry.get("aliases") or ()}
    return found | {key_of(book, name): name for name in gpus}


def key_of(book: RuleBook, name: str) -> str:
    """A name without the words that tell nothing, the memory size last."""
    if len(name) > _LONGEST:
        return fold(name)
    front, anywhere = _words(book)
    written = _SIZE.sub(r"\1gb", name.lower().replace("(r)", " ").replace("(tm)", " "))
    words = [word for word in _WORD.findall(written) if word not in anywhere]
    size = [word for word in words if re.fullmatch(r"\d+gb", word)]
    key = "".join(word for word in words if word not in size)
    while lead := next((word for word in front if key.startswith(word) and key != word), ""):
        key = key[len(lead) :]
    return key + "".join(size[:1])


@remembered
def _words(book: RuleBook) -> tuple[tuple[str, ...], frozenset[str]]:
    entries: list[Entry] = list(book.section("gpu_names").values())
    front = {fold(word) for entry in entries for word in entry.get("front", ())}
    return tuple(sorted(front, key=len, reverse=True)), frozenset(fold(word) for entry in entries for word in entry.get("anywhere", ()))

"""The engine versions of a spec, and what the matrices say of a method and a type of KV cache. Floor 3, pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from typing import TYPE_CHECKING, Any

from generator.quantity import in_span, version_key
from generator.record import dataclass
from generator.rulebook.book import RuleBook, file_format
from generator.rulebook.matrix import Statement, cell_of
from generator.rulebook.memo import remembered
from generator.rulebook.table import Facts, cell_test, first_source

if TYPE_CHECKING:  # every start would pay for building the types
    from generator.architecture.shape import ModelArchitecture
    from generator.rulebook.sections import Architecture
    from generator.sizing.footprint import Device


@dataclass(frozen=True, slots=True, eq=False)
class Engine:
    """One engine at one version; `listed` is false for a version that is not in the catalogue."""

    name: str
    version: str
    listed: bool
    facts: Mapping[str, Any]
    _settings: list[tuple[frozenset[str], tuple[str, ...]]] = field(default_factory=list, repr=False, compare=False)
    _spelled: dict[str, Mapping[str, object] | None] = field(default_factory=dict, repr=False, compare=False)

    def reads(self, method: Mapping[str, object]) -> bool:
        """Whether the engine loads the file format of a method (an entry of `methods`)."""
        return file_format(method) in self.facts["formats"]

    def has(self, setting: str) -> bool:
        """Whether this version can spell a setting."""
        return self.spelling(setting) is not None

    def takes(self, setting: str, word: str | None) -> bool:
        """Whether this version knows a word of a setting (`words_since`); what is not said to be newer is known."""
        entry = self.spelling(setting)
        if entry is None or word is None:
            return False
        since = (entry.get("words_since") or {}).get(word)
        return since is None or version_key(self.version) >= version_key(since)

    def serves(self, task: str) -> bool:
        """Whether this version has a server for a task."""
        entry = {"generate": {}, **(self.facts.get("tasks") or {})}.get(task)
        return entry is not None and version_key(self.version) >= version_key(entry.get("since", "0"))

    def against(self, setting: str, facts: Facts) -> Iterator[tuple[str, object]]:
        """The names and cells of `accepted_when` for which the engine does not take a setting that it has a word for."""
        for name, cell in ((self.spelling(setting) or {}).get("accepted_when") or {}).items():
            if not cell_test(cell, lambda literal: literal)(facts.get(name)):
                yield name, cell

    def settings(self, facts: Facts) -> frozenset[str]:
        """The settings that it has a word for at any version (that this one lacks it is an error) and takes with these facts."""
        if not self._settings:
            every = self.facts["flags"]
            self._settings.append((frozenset(every), tuple(name for name in every if "accepted_when" in (self.spelling(name) or ()))))
        words, sometimes = self._settings[0]
        refused = [name for name in sometimes if any(self.against(name, facts))]
        return words.difference(refused) if refused else words

    def spelling(self, setting: str) -> Mapping[str, Any] | None:
        """The entry of `flags` that holds for this version; None where there is none."""
        if setting not in self._spelled:
            key, spans = version_key(self.version), self.facts["flags"].get(setting, ())
            # of a version that is not listed only the end of a span is looked at
            held = (dict(span) for span in spans if in_span(span if self.listed else {"until": span.get("until")}, key))
            self._spelled[setting] = next(held, None)
        return self._spelled[setting]

    def longest_context(self, architecture: ModelArchitecture) -> int:
        """Tokens of context that this version allows a model; 0 where that is unknown. YaRN is read in one way or the other (`yarn`)."""
        until = (self.facts.get("yarn") or {}).get("multiplied_until")
        multiplied = until is not None and version_key(self.version) < version_key(until)
        return (multiplied and architecture.yarn_context) or architecture.max_context

    def whole_prompts(self, architecture: ModelArchitecture) -> bool:
        """Whether a prompt of this model is read in one step, which then has to hold the longest (`whole_prompts`)."""
        said = self.facts.get("whole_prompts")
        if said is None or version_key(self.version) < version_key(said["until"]):
            return said is not None
        return architecture.multimodal and architecture.model_type in said["models"]

    def older_numbers(self, device: Device, architecture: ModelArchitecture) -> tuple[tuple[str, str], ...]:
        """Thresholds of its memory law that are still those of an older version on this hardware or for such a model (`profiled_as`)."""
        key, found = version_key(self.version), []
        for entry in self.facts.get("profiled_as", ()):
            here = device.vendor == entry.get("vendor", device.vendor) and device.compute_capability < entry.get("below", 999)
            now = version_key(entry["since"]) <= key < version_key(entry.get("until", "9999"))
            if here and now and architecture.hybrid >= entry.get("hybrid", False):
                found += [(name, entry["as"]) for name in entry["numbers"]]
        return tuple(found)


def resolve_engine(name: str, version: str | None, book: RuleBook) -> Engine:
    """An engine at a version, its default one if none is asked for; one book gives the same object again."""
    return _resolved(book, name, version)


@remembered
def _resolved(book: RuleBook, name: str, version: str | None) -> Engine:
    facts = book.section("engines")[name]
    wanted = version or facts["default_version"]
    same = {version_key(v): v for v in facts["versions"]}
    listed = same.get(version_key(wanted))
    return Engine(name, listed or wanted, listed is not None, facts)


@remembered
def support_of(book: RuleBook, engine: Engine, key: str, architecture: str, shapes: frozenset[str] = frozenset()) -> tuple[str, str | None]:
    """The cell of the matrix engine × method × architecture for a model of these shapes, and its first source; a missing row is unknown."""
    return _cell(book, book.section("support").get(engine.name, {}).get("support", {}).get(key, ()), engine, architecture, shapes)


def back_ends_of(engine: Mapping[str, Any], architecture: Architecture) -> dict[str, str]:
    """The back ends of an engine (its facts) that hardware can use, in the order in which they are tried, with the class of speeds of each.
    Empty for an engine that has no such choice."""
    own, known = architecture["back_end"], engine.get("back_ends") or ()
    ends = architecture.get("back_ends") or {own.partition("_")[0]: own}
    return {end: speed for end, speed in ends.items() if end in known}


KV_SETTINGS = ("kv_cache_dtype", "cache_type_k")
"""Settings that say the type of the KV cache; an engine has one of them."""


@remembered
def kv_support_of(book: RuleBook, engine: Engine, dtype: str, architecture: str, shapes: frozenset[str] = frozenset()) -> tuple[str, str | None]:
    """The cell of the matrix engine × type of KV cache × architecture for a model of these shapes, and its first source. `no` for a type
    that the engine's part of the matrix leaves out, or that this version has no word for."""
    row = book.section("kv_cache").get(engine.name, {}).get(dtype)
    if row is None:
        return "no", None
    support, source = _cell(book, row, engine, architecture, shapes)
    spelling = next((found for found in map(engine.spelling, KV_SETTINGS) if found is not None), None)
    if spelling is None or dtype == "auto" or "choices" not in spelling:
        return support, source
    word = (spelling.get("values") or {}).get(dtype, dtype)
    return (support if word is None or word in spelling["choices"] else "no"), source


def _cell(book: RuleBook, row: Sequence[Statement], engine: Engine, architecture: str, shapes: frozenset[str]) -> tuple[str, str | None]:
    """What a row says of an architecture; `no` where its kernels are only in other engines."""
    entry: Architecture = book.section("architectures").get(architecture, {})
    if engine.name not in entry.get("engines", (engine.name,)):
        return "no", first_source(entry.get("source"))
    said = cell_of(row, architecture, book.section("architectures"), engine.version, shapes)
    return (said[0], first_source(said[1].get("source"))) if said else ("unknown", None)

"""The engine versions of a spec; what the matrices say of a method and a type of KV cache, an engine's own registry of a model (whether this
version loads it, and whether it needs the repository's code), and model hubs beside Hugging Face. Floor 3, pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import field
from typing import TYPE_CHECKING, Any, Literal

from generator.quantity import in_span, version_key
from generator.record import dataclass
from generator.rulebook.book import RuleBook, file_format
from generator.rulebook.memo import remembered
from generator.rulebook.table import Facts, Statement, cell_of, cell_test, first_source
from generator.spec.deployment import HUGGING_FACE

if TYPE_CHECKING:  # every start would pay for building the types
    from generator.architecture.shape import ModelArchitecture
    from generator.facts.model import Model
    from generator.rulebook.sections import Architecture
    from generator.sizing.footprint import Device


def literally(bound: Any) -> Any:
    """What a cell of the facts compares with: the literal itself; only the cells of tables name thresholds."""
    return bound


@dataclass(frozen=True, slots=True, eq=False)
class Engine:
    """One engine at one version; `listed` is false for a version that is not in the catalogue, `between` true if it lies between two that are:
    then what holds for the lower one holds for it."""

    name: str
    version: str
    listed: bool
    facts: Mapping[str, Any]
    between: bool = False
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
            if not cell_test(cell, literally)(facts.get(name)):
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
            held = (dict(span) for span in spans if in_span(span if self.listed or self.between else {"until": span.get("until")}, key))
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
    return Engine(name, listed or wanted, listed is not None, facts, listed is None and min(same) < version_key(wanted) < max(same))


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


Standing = Literal["loads", "newer", "older", "never", "unknown"]
"""`newer`, `older`: only versions after or before this one load the model; `never`: no listed one does; `unknown`: the registry is not known."""

Span = Mapping[str, object]


def standing(book: RuleBook, engine: Engine, model: Model) -> Standing:
    """Whether this version of an engine loads a model, by its `architectures` or its family (`model_type`)."""
    return _standing(book, engine, model.classes)


def needs_code(book: RuleBook, engine: Engine, model: Model) -> bool:
    """Whether an engine runs code of the model's repository: for its tokenizer, or for what the engine does not have itself."""
    if not model.needs_remote_code or model.tokenizer_code:
        return model.needs_remote_code
    entry = book.section("registry").get(engine.name, {})
    known = any(_holds(span, engine.version) for span in _spans(entry.get("configs", ()), model.classes))
    return not known or standing(book, engine, model) != "loads"


@remembered
def _standing(book: RuleBook, engine: Engine, classes: tuple[str, ...]) -> Standing:
    entry = book.section("registry").get(engine.name)
    if entry is None or not classes:
        return "unknown"
    found = _spans(entry["architectures"], classes)
    if not found:
        return "never" if entry.get("complete") else "unknown"
    if any(_holds(span, engine.version) for span in found):
        return "loads"
    key = version_key(engine.version)
    return "newer" if any("since" in span and version_key(str(span["since"])) > key for span in found) else "older"


def _spans(spans: Iterable[Span], classes: tuple[str, ...]) -> list[Span]:
    return [span for span in spans if any(name in span["names"] for name in classes)]  # type: ignore[operator]  # a list


def _holds(span: Span, version: str) -> bool:
    key = version_key(version)
    return version_key(str(span.get("since", "0"))) <= key and ("until" not in span or key < version_key(str(span["until"])))

"""The options of one engine at one version, by every spelling, with removed and future options.

Floor 6, pure: reads the `flags` section of a rule set, which no other code loads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field, replace
from typing import Any

from generator.quantity import version_key
from generator.record import dataclass
from generator.rulebook.book import RuleBook
from generator.rulebook.memo import remembered

Entry = Mapping[str, Any]
"""An option in the `flags` section, in some versions; `rules/schemas/flags.json` says what it holds."""


@dataclass(frozen=True, slots=True)
class Option:
    """One option as one version spells it; `off` are the `names` that switch it off.

    `words` are its allowed values, if known (with `numbers`, whole numbers too); `limits` what a number must be: `least`, `most`, `above`."""

    name: str
    names: tuple[str, ...]
    kind: str
    nargs: str | int | None = None
    words: tuple[str, ...] | None = None
    since: str | None = None
    until: str | None = None
    use: str | None = None
    deprecated: bool = False
    repeatable: bool = False
    env: str | None = None
    needs: tuple[str, ...] = ()
    numbers: bool = False
    off: tuple[str, ...] = ()
    old_words: Mapping[str, str] = field(default_factory=dict)
    limits: Mapping[str, float] = field(default_factory=dict)

    @property
    def instead(self) -> str:
        """What to do about an option that is gone: `use` is its successor, or `nothing: REASON`."""
        use = self.use or "nothing"
        return use.partition(": ")[2] or "leave it out" if use.startswith("nothing") else f"use {use}"


@dataclass(frozen=True)
class Catalogue:
    """The options of an engine version. `checked_as` is the version whose table is used, with what is known of `version` itself."""

    engine: str
    version: str
    checked_as: str
    syntax: Mapping[str, Any]
    facts: Mapping[str, Any]
    taken: Mapping[str, Option]
    gone: Mapping[str, Option]
    later: Mapping[str, Option]
    env: Mapping[str, Option] = field(default_factory=dict)
    gone_env: Mapping[str, Option] = field(default_factory=dict)
    parameters: Mapping[str, Option] = field(default_factory=dict)

    @property
    def unlisted(self) -> str | None:
        """How sure a check is of a version that the table does not list: a note between two listed ones, else a warning; None for a listed one."""
        wanted, listed = version_key(self.version), [version_key(version) for version in self.facts["versions"]]
        if wanted[:3] == version_key(self.checked_as)[:3]:
            return None  # a release candidate, or a repair that changes no option
        return "note" if min(listed) < wanted < max(listed) else "warning"

    @property
    def config_flag(self) -> str | None:
        """The option that names the engine's own configuration file."""
        return (self.syntax.get("config") or {}).get("flag")

    @property
    def refused_by_file(self) -> frozenset[str]:
        """The options that the engine takes on its command line only, though its configuration file holds the others."""
        rule = (self.syntax.get("config") or {}).get("refuses")
        return frozenset(rule["options"]) if rule and version_key(self.version) >= version_key(rule["since"]) else frozenset()

    def takes_value(self, name: str) -> bool:
        """Whether a parameter of a Modelfile, or a variable beside it, is no switch: then `NAME: false` leaves it out."""
        option = self.parameters.get(name) or self.env.get(name) if self.parameters else None
        return option is not None and option.kind != "bool"

    @property
    def title(self) -> str:
        """Engine and version for messages."""
        return f"{self.engine} {self.checked_as}"


def nearest(version: str, known: list[str]) -> str:
    """The version itself, else the newest below it of its own series (0.20 of 0.20.1), else the oldest of that, else any: newest below, oldest."""
    wanted = version_key(version)
    if same := [v for v in known if version_key(v) == wanted]:
        return same[0]
    known = [v for v in known if version_key(v)[:2] == wanted[:2]] or known
    below = [v for v in known if version_key(v) <= wanted]
    return max(below, key=version_key) if below else min(known, key=version_key)


@remembered
def catalogue(book: RuleBook, engine: str, version: str) -> Catalogue:
    """The options of an engine at a version, from the nearest version in the catalogue."""
    facts = book.section("flags")[engine]
    as_version = nearest(version, list(facts["versions"]))
    at = version_key(version)
    reached = at if at < min(map(version_key, facts["versions"])) else max(at, version_key(as_version))
    taken, gone, later = _by_time(facts["options"], at, reached)
    for rule in facts.get("old_words") or ():
        option = taken.get(rule["option"])
        if option is not None and reached >= version_key(rule["since"]):
            taken |= dict.fromkeys(option.names, replace(option, old_words=rule["words"]))
    env, gone_env, _ = _by_time(facts.get("env") or {}, at, reached)
    env |= {option.env: option for option in taken.values() if option.env}
    parameters, _, _ = _by_time(facts.get("parameters") or {}, at, reached)
    return Catalogue(engine, version, as_version, facts["syntax"], facts, taken, gone, later, env, gone_env, parameters)


def _by_time(
    options: Mapping[str, Entry | list[Entry]], at: tuple[int, ...], reached: tuple[int, ...]
) -> tuple[dict[str, Option], dict[str, Option], dict[str, Option]]:
    """Options taken, gone at a version, and new only after the version that its table reaches."""
    taken: dict[str, Option] = {}
    gone: dict[str, Option] = {}
    later: dict[str, Option] = {}
    for name, entries in options.items():
        for entry in entries if isinstance(entries, list) else [entries]:
            option = _option(name, entry, reached)
            ended = option.until is not None and at >= version_key(option.until)
            begun = option.since is None or reached >= version_key(option.since)
            target = gone if ended else taken if begun else later
            for spelled in option.names:
                if target is not later or spelled not in later:
                    target[spelled] = option
    return taken, gone, later


def _option(name: str, entry: Entry, key: tuple[int, ...]) -> Option:
    words = entry.get("choices") or entry.get("words")
    if "words_since" in entry and key < version_key(entry["words_since"]):
        words = None
    off = tuple(entry.get("off") or ())
    as_written = {word: entry[word] for word in ("nargs", "since", "until", "use", "deprecated", "repeatable", "env", "numbers") if word in entry}
    return Option(
        name, (name, *(entry.get("names") or ()), *off), entry["type"], words=tuple(words) if words else None, needs=tuple(entry.get("needs") or ()),
        off=off, limits={word: entry[word] for word in ("least", "above", "most", "or") if word in entry}, **as_written,
    )  # fmt: skip

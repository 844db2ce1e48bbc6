"""The words of a command that a plan made from it does not say, says otherwise, or adds. Floor 7, pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from generator.decide.decision import decide
from generator.decide.gates import gates
from generator.errors import Place
from generator.plan import Plan
from generator.readers.document import Document
from generator.render.launch import launch_of
from generator.render.words import expected
from generator.rulebook.book import RuleBook
from generator.spec.words import spec_of
from generator.verify.argv import Argument, arguments
from generator.verify.catalogue import Catalogue
from generator.verify.data import Text, is_option
from generator.verify.launches import Launch, of_config
from generator.verify.restated import WORDS, Restated, defaults_of, settings_of
from generator.verify.values import number
from generator.verify.verdict import START


class Unlike(NamedTuple):
    """An option of a command, of the plan that was made from it, or of both with different meanings (None: not there)."""

    name: str
    theirs: str | None
    ours: str | None

    def __str__(self) -> str:
        if self.theirs is None:
            return f"the plan adds {self.name} {self.ours}"
        return f"{self.name} {self.theirs}: " + ("the plan leaves it out" if self.ours is None else f"the plan says {self.ours}")


_BY_ITSELF = ("dtype", "load_format", "quantization", "nodes")
"""Settings whose words say what the engine finds out by itself."""


def unlike(launch: Launch, known: Catalogue, plan: Plan, book: RuleBook) -> Iterator[Unlike]:
    """The options and variables of a command that the plan's choice does not have with the same meaning, and those that it adds."""
    assert plan.choice is not None
    planned = launch_of(plan, plan.choice, book, "..")
    words = [Text(expected(word), Place("")) for word in planned.words()]
    parameters = {name: [Text(value, Place("")) for value in values] for name, values in planned.spelled.parameters.items()}
    env = {name: Text(expected(word), Place("")) for name, word in planned.env().items()}
    said, synonyms = _Said(settings_of(planned.engine, known), known), known.facts.get("synonyms") or {}
    both = Launch(known.engine, None, words, launch.positionals, env, None, None, parameters)
    theirs, ours = said.meant(launch), said.meant(both) | said.in_file(planned.spelled.config)
    file, offline = (known.syntax.get("config") or {}).get("flag", ""), (planned.facts.get("offline") or {}).get("env", {})
    hardware = [gate for gate in gates(book, known.engine) if str(gate.entry.get("write")).startswith("hardware")]
    for name in ("", "model", "hf_repo", "hf_file", "api_key", file, *offline, *((known.facts.get("visible") or ()) if planned.devices else ())):
        theirs.pop(said.key(name), None)
        ours.pop(said.key(name), None)
    usual = {setting: _word(value) for setting, value in defaults_of(planned.engine, {}).items()}
    for key, (name, value) in theirs.items():
        mine, pinned = ours.pop(key, ("", None))[1], _pinned(plan, key) or usual.get(key)
        if any(gate.holds(name.lstrip("-")) for gate in hardware):
            continue  # the machines follow from the spec
        no_limit = str(value) == "0" and WORDS["others"].get(key, key) == "max_model_len"
        size = key in said.numbers and (no_limit or number(str(value)) is None)
        found_by_itself = value == "auto" or size or (mine is None and key in _BY_ITSELF)
        if mine is None and pinned in ("on", "off") and (ranks := number(str(value))) is not None:
            value = "on" if ranks > 1 else "off"
        if not found_by_itself and not _same(pinned if mine is None else mine, value, synonyms):
            yield Unlike(name, _text(value), None if mine is None else _text(mine))
    for key, (name, mine) in ours.items():
        implied = key in (*WORDS["elsewhere"], *WORDS["of_the_model"], *_BY_ITSELF) or _pinned(plan, key) is not None
        if not implied and mine != "auto" and not _same(mine, usual.get(key, "off"), synonyms):
            yield Unlike(name, None, _text(mine))


def plan_of(said: Restated, launch: Launch, known: Catalogue, folder: Path, book: RuleBook) -> Plan:
    """The plan of a command's spec. What it adds is left out again, where a spec can say that; a load that does not fit becomes one sequence.

    `said.data` holds the spec afterwards. Raises `InputError` for a spec that cannot be planned."""
    plan = decide(spec_of(said.data, folder), book).plan
    if plan.choice is None:
        said.data["workload"] = dict(START)
        plan = decide(spec_of(said.data, folder), book).plan
    if plan.choice is not None:
        extra = said.data.setdefault("deploy", {}).setdefault("extra_args", {}).setdefault(known.engine, {})
        extra |= dict.fromkeys(added(unlike(launch, known, plan, book), known, book), False)
        plan = decide(spec_of(said.data, folder), book).plan
    return plan


def _pinned(plan: Plan, setting: str) -> object:
    """What the spec says of a setting, None where it says nothing."""
    section, key = WORDS["elsewhere"].get(setting) or ("pin", WORDS["others"].get(setting, setting))
    return _word(plan.spec.get(section, {}).get(key))


def _word(value: object) -> object:
    """A value as the words of a command have it, None for none."""
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else None if value is None else str(value)


def added(found: Iterable[Unlike], known: Catalogue, book: RuleBook) -> Iterator[str]:
    """The names in `extra_args` of options that a plan adds and a spec can leave out (`NAME: false`)."""
    for one in found:
        name = one.name.removeprefix("--")
        sayable = name != one.name or known.takes_value(name)
        if one.theirs is None and sayable and not any(gate.refuses(name, False) for gate in gates(book, known.engine)):
            yield name


class _Said:
    """The words of a command by setting: where the engine's own words for one differ (an option, a variable, a key), they meet there."""

    def __init__(self, settings: Mapping[str, tuple[str, Mapping[str, Any]]], known: Catalogue) -> None:
        self.settings, self.known = settings, known
        self.numbers = {setting for setting, entry in settings.values() if entry.get("type") in ("int", "float")}

    def key(self, name: str) -> str:
        """The setting that an option, variable or parameter says, else its own name."""
        option = self.known.env.get(name, self.known.taken.get(name))
        name = option.name if option is not None else name
        return self.settings.get(name, (name,))[0]

    def in_file(self, config: Mapping[str, Any]) -> dict[str, tuple[str, Any]]:
        """Values of the engine's own file, with their keys, by setting."""
        leaves = of_config(Document("", config, {}, {}), self.known.engine).words if config else []
        if self.known.facts.get("keys") is None:
            return self.meant(Launch(self.known.engine, None, leaves, 0))
        return {self.key(name.text): (name.text, value.text) for name, value in pairwise(leaves) if name.text.startswith("--")}

    def meant(self, launch: Launch) -> dict[str, tuple[str, Any]]:
        """Names and values of a command by setting; `""` is the model as a word of its own."""
        found: dict[str, tuple[str, Any]] = {} if launch.model is None else {"": ("", launch.model.text)}
        found |= {self.key(name): (name, value.text) for name, value in launch.env.items()}
        found |= {self.key(name): (name, [value.text for value in values]) for name, values in launch.parameters.items()}
        for one in arguments(launch.words, self.known):
            if isinstance(one, Argument):
                key = self.key(one.option.name)
                found[key] = one.option.name, one.added_to(found.get(key, ("", None))[1])
            elif not is_option(one.word.text):
                found.setdefault("", ("", one.word.text))
        return found


def _same(ours: Any, theirs: Any, synonyms: Mapping[str, str]) -> bool:
    if isinstance(ours, Mapping) and isinstance(theirs, Mapping):
        return ours.keys() == theirs.keys() and all(_same(ours[key], value, synonyms) for key, value in theirs.items())
    if isinstance(ours, list) and isinstance(theirs, list):
        return len(ours) == len(theirs) and all(_same(mine, value, synonyms) for mine, value in zip(ours, theirs, strict=True))
    first, second = number(str(ours)), number(str(theirs))
    texts = [synonyms.get(_text(value), _text(value)) for value in (ours, theirs)]
    return first == second if first is not None and second is not None else texts[0] == texts[1]


def _text(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(_word(value))

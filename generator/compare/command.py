"""The words of a command that a plan made from it does not say, says otherwise, or adds. Floor 7, pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any, NamedTuple

from generator.decide.gates import gates
from generator.errors import InputError, Place
from generator.plan import Plan
from generator.readers.document import Document
from generator.readers.json_text import parse
from generator.render.launch import launch_of
from generator.render.words import expected
from generator.rulebook.book import RuleBook
from generator.verify.catalogue import Catalogue
from generator.verify.finding import Text
from generator.verify.launches import Launch, of_config
from generator.verify.restated import ELSEWHERE, OF_THE_MODEL, Argument, arguments, settings_of
from generator.verify.values import number


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
_SYNONYMS = {"half": "float16", "float": "float32"}


def unlike(launch: Launch, known: Catalogue, plan: Plan, book: RuleBook) -> Iterator[Unlike]:
    """The options and variables of a command that the plan's choice does not have with the same meaning, and those that it adds."""
    assert plan.choice is not None
    planned = launch_of(plan, plan.choice, book, "..")
    words = [Text(expected(word), Place("")) for word in planned.words()]
    config = of_config(Document("", planned.spelled.config, {}, {}), known.engine).words if planned.spelled.config else []
    parameters = {name: [Text(value, Place("")) for value in values] for name, values in planned.spelled.parameters.items()}
    env = {name: Text(expected(word), Place("")) for name, word in planned.env().items()}
    both = Launch(known.engine, None, [*words, *config], launch.positionals, env, None, None, parameters)
    said, theirs, ours = settings_of(planned.engine, known), _meant(launch, known), _meant(both, known)
    for name, value in theirs.items():
        mine, setting = ours.pop(name, None), said.get(name, ("", {}))[0]
        found_by_itself = value == "auto" or (mine is None and setting in _BY_ITSELF)
        if name and setting not in ("model", "api_key") and not found_by_itself and (mine is None or not _same(mine, value)):
            yield Unlike(name, _text(value), None if mine is None else _text(mine))
    for name, mine in ours.items():
        setting = said.get(name, ("", {}))[0]
        implied = setting in plan.spec["pin"] or setting in (*ELSEWHERE, *OF_THE_MODEL, *_BY_ITSELF) or name in ("", known.syntax.get("config", {}).get("flag"))
        if not implied and mine != "auto":
            yield Unlike(name, None, _text(mine))


def added(found: Iterable[Unlike], engine: str, book: RuleBook) -> Iterator[str]:
    """The names in `extra_args` of options that a plan adds and a spec can leave out (`NAME: false`)."""
    for one in found:
        name = one.name.removeprefix("--")
        if one.theirs is None and one.name.startswith("--") and not any(gate.holds(name) and not gate.warns for gate in gates(book, engine)):
            yield name


def _meant(launch: Launch, known: Catalogue) -> dict[str, Any]:
    """Values by option, variable or parameter; `""` is the model as a word of its own."""
    found: dict[str, Any] = {} if launch.model is None else {"": launch.model.text}
    found |= {name: value.text for name, value in launch.env.items()}
    found |= {name: [value.text for value in values] for name, values in launch.parameters.items()}
    for one in arguments(launch, known):
        if not isinstance(one, Argument):
            found.setdefault("", one.text)
            continue
        value = _data(one)
        if one.inner:
            known_inner = found.get(one.option.name)
            target = found[one.option.name] = dict(known_inner) if isinstance(known_inner, Mapping) else {}
            *outer, last = one.inner.split(".")
            for part in outer:
                target = target.setdefault(part, {})
            target[last] = value
        elif one.option.repeatable:
            found[one.option.name] = [*found.get(one.option.name, []), value]
        else:
            found[one.option.name] = value
    return found


def _data(one: Argument) -> Any:
    texts = [value.text for value in one.values]
    if one.option.kind.startswith("json") or one.inner:
        with suppress(InputError):
            return parse(texts[0], "", strict=False)
    return texts if len(texts) > 1 else texts[0]


def _same(ours: Any, theirs: Any) -> bool:
    if isinstance(ours, Mapping) and isinstance(theirs, Mapping):
        return ours.keys() == theirs.keys() and all(_same(ours[key], value) for key, value in theirs.items())
    if isinstance(ours, list) and isinstance(theirs, list):
        return len(ours) == len(theirs) and all(map(_same, ours, theirs))
    first, second = number(str(ours)), number(str(theirs))
    texts = [_SYNONYMS.get(str(value), str(value)) for value in (ours, theirs)]
    return first == second if first is not None and second is not None else texts[0] == texts[1]


def _text(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)

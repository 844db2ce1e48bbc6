"""Values that engines refuse, or misread, only at start-up or later: together, or with this model. The rules are defined beside the options.

Floor 6, pure."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from generator.errors import Place, Problem
from generator.verify.argv import Argument, arguments
from generator.verify.catalogue import Catalogue
from generator.verify.data import Text
from generator.verify.values import number

Given = dict[str, tuple[Text, str]]

_MUST: dict[str, tuple[str, Callable[[float, float], bool]]] = {
    "below": ("be below", operator.lt), "at-most": ("be at most", operator.le), "at-least": ("be at least", operator.ge),
    "divides": ("divide", lambda one, other: one < 1 or other % one == 0), "reads": ("be a word for", lambda one, other: False),
}  # fmt: skip


def check_together(given: Given, known: Catalogue, model: Mapping[str, str | int] | None = None) -> Iterator[Problem]:
    """Findings from the `together` rules of an engine; what is known of the `model` counts as given, as `model.NAME`.

    A rule holds where its `option` is given (or has a `default`), all of `when` and none of `unless` (`NAME`, or `NAME VALUE…`: one of
    them). `is` says how it must stand to `with`: `below`, `at-most`, `at-least`, `divides`, `reads` (one of its `words`), `given` too,
    or, where that is not given, a `power-of-two`; without `is`, its `values` rule out what `with` `forbids`."""
    place = next((word.place for word, _ in given.values()), Place(""))
    shown = {f"model.{name}": (Text(str(value), place), f"the model's {name.replace('_', ' ')}") for name, value in (model or {}).items()}
    given = {**given, **shown}
    for rule in known.facts.get("together") or ():
        (one, name), (two, other) = (given.get(rule[key], (None, rule[key])) for key in ("option", "with"))
        if not all(_is(given, word) for word in rule.get("when") or ()) or any(_is(given, word) for word in rule.get("unless") or ()):
            continue
        if one is None and "default" in rule and two is not None:
            one = Text(str(rule["default"]), two.place)
        if one is not None and (problem := _problem(rule, one, two, other)):
            yield Problem(rule.get("row", "not-together"), f"{name} {problem}: {rule['because']}", one.place, rule.get("severity", "error"))


def _is(given: Given, condition: str) -> bool:
    name, *values = condition.split()
    return name in given and (not values or given[name][0].text in values)


def _problem(rule: Mapping[str, Any], one: Text, two: Text | None, other: str) -> str | None:
    """How a rule is broken, with the name of `two`; None where it is not, or where that cannot be known."""
    relation = rule.get("is")
    if relation == "given":
        return f"{one.text} without {other}" if two is None and one.text in rule.get("values", (one.text,)) else None
    first = number(one.text) if one.known else None
    if relation == "power-of-two":
        return f"{one.text} is no power of two" if two is None and first is not None and first >= 1 and int(first) & (int(first) - 1) else None
    if two is None or not (one.known and two.known):
        return None
    if relation == "reads" and one.text in rule["words"].get(two.text, (one.text,)):
        return None
    if relation is None:
        return f"{one.text} cannot be combined with {other} {two.text}" if one.text in rule["values"] and two.text in rule["forbids"] else None
    second = number(two.text)
    must, holds = _MUST[relation]
    if relation != "reads" and (first is None or second is None or holds(first, second)):
        return None
    return f"{one.text} must {must} {other} ({two.text})"


def given_options(words: Sequence[Text], env: Mapping[str, Text], known: Catalogue) -> Given:
    """What is given, by the name of its option: the value of an argument, else of a variable, and the name that a reader sees.

    `gpus` is the number of GPUs that a variable shows to the server."""
    given: Given = {}
    for name, value in env.items():
        if name in (known.facts.get("visible") or ()) and value.known and value.text[:1].isdigit():
            given["gpus"] = Text(str(value.text.count(",") + 1), value.place), f"the number of GPUs in {name}"
        option = known.env.get(name)
        if option is not None and not (option.kind == "switch" and value.text.lower() in ("", "0", "false", "off", "disabled")):
            given[option.name] = value, name
    for one in arguments(words, known):
        if isinstance(one, Argument):
            given[one.option.name] = (one.values[0] if one.values else one.last), one.option.name
    return given

"""Values that engines refuse, or misread, only at start-up or later: together, or with this model. The rules are defined beside the options.

Floor 6, pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any

from generator.verify.argv import find
from generator.verify.catalogue import Catalogue
from generator.verify.finding import Finding, Text, is_option
from generator.verify.values import number

Given = dict[str, tuple[Text, str]]

_MUST = {"below": "be below", "at-most": "be at most", "at-least": "be at least", "divides": "divide"}


def check_together(given: Given, known: Catalogue, model: Mapping[str, int] | None = None) -> Iterator[Finding]:
    """Findings from the `together` rules of an engine; `model` has numbers of the model, for rules with `model.NAME`.

    A rule holds where its `option` is given (or has a `default`), all of `when` and none of `unless` (`NAME` or `NAME VALUE`). `is` says how
    it must stand to `with`: `below`, `at-most`, `at-least`, `divides`, or `given` too; without `is`, its `values` rule out what `with` `forbids`.
    """
    for rule in known.facts.get("together") or ():
        (one, name), (two, other) = (given.get(rule[key], (None, rule[key])) for key in ("option", "with"))
        if not all(_is(given, word) for word in rule.get("when") or ()) or any(_is(given, word) for word in rule.get("unless") or ()):
            continue
        if one is None and "default" in rule and two is not None:
            one = Text(str(rule["default"]), two.place)
        if one is not None and other.startswith("model.") and (count := (model or {}).get(other[6:])):
            two, other = Text(str(count), one.place), f"the model's {other[6:].replace('_', ' ')}"
        if one is not None and (problem := _problem(rule, one, two, other)):
            yield Finding("not-together", f"{name} {problem}: {rule['because']}", one.place, rule.get("severity", "error"))


def _is(given: Given, condition: str) -> bool:
    name, _, value = condition.partition(" ")
    return name in given and value in ("", given[name][0].text)


def _problem(rule: Mapping[str, Any], one: Text, two: Text | None, other: str) -> str | None:
    """How a rule is broken, with the name of `two`; None where it is not, or where that cannot be known."""
    relation = rule.get("is")
    if relation == "given":
        return f"{one.text} without {other}" if two is None and one.text in rule.get("values", (one.text,)) else None
    if two is None or not (one.known and two.known):
        return None
    if relation is None:
        return f"{one.text} cannot be combined with {other} {two.text}" if one.text in rule["values"] and two.text in rule["forbids"] else None
    first, second = number(one.text), number(two.text)
    if first is None or second is None:
        return None
    divides = first < 1 or second % first == 0
    holds = {"below": first < second, "at-most": first <= second, "at-least": first >= second, "divides": divides}
    return None if holds[relation] else f"{one.text} must {_MUST[relation]} {other} ({two.text})"


def given_options(words: Sequence[Text], env: Mapping[str, Text], known: Catalogue) -> Given:
    """What is given, by the name of its option: the value of an argument, else of a variable, and the name that a reader sees."""
    given: Given = {}
    for name, value in env.items():
        option = known.env.get(name)
        if option is not None and not (option.kind == "switch" and value.text.lower() in ("", "0", "false", "off", "disabled")):
            given[option.name] = value, name
    for word, after in zip_longest(words, words[1:]):
        name, equals, joined = word.text.partition("=")
        option = (known.taken.get(name) or find(name, known)[0]) if is_option(word.text) else None
        if option is not None and option.kind == "switch":
            given[option.name] = Text("off" if name in option.off else "on", word.place), option.name
        elif option is not None:
            given[option.name] = Text(joined, word.place, word.known) if equals else after or Text("", word.place, False), option.name
    return given

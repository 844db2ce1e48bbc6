"""Values that engines refuse, or misread, only at start-up or later: together, or with this model. The rules are defined beside the options.

Floor 6, pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from generator.verify.catalogue import Catalogue
from generator.verify.finding import Finding, Text, is_option
from generator.verify.values import number


def check_together(
    words: Sequence[Text], known: Catalogue, env: Mapping[str, Text] | None = None, model: Mapping[str, int] | None = None
) -> Iterator[Finding]:
    """Findings from the `together` rules of an engine; `model` has numbers of the model, for rules with `model.NAME`.

    A rule holds where its `option` is given (or has a `default`), all of `when` and none of `unless` (`NAME` or `NAME VALUE`). Then `is` says how it must stand to
    `with`: `below`, `at-most`, `at-least`, `divides`, or `given` (both); without `is`, its `values` rule out the values that `with` `forbids`.
    """
    given, spelled = _given(words, known, env or {})
    where = next(iter(given.values()), None)
    for name, count in (model or {}).items() if where is not None else ():
        given[f"model.{name}"] = Text(str(count), where.place if where else words[0].place)
    for rule in known.facts.get("together") or ():
        one, two = given.get(rule["option"]), given.get(rule["with"])
        if not all(_is(given, word) for word in rule.get("when") or ()) or any(_is(given, word) for word in rule.get("unless") or ()):
            continue
        if one is None and "default" in rule and two is not None:
            one = Text(str(rule["default"]), two.place)
        other = f"the model's {rule['with'][6:].replace('_', ' ')}" if rule["with"].startswith("model.") else spelled.get(rule["with"], rule["with"])
        if one is not None and (problem := _problem(rule, one, two, other)):
            name = spelled.get(rule["option"], rule["option"])
            yield Finding("not-together", f"{name} {problem}: {rule['because']}", one.place, rule.get("severity", "error"))


def _is(given: Mapping[str, Text], condition: str) -> bool:
    name, _, value = condition.partition(" ")
    return name in given and value in ("", given[name].text)


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
    holds = {
        "below": first < second,
        "at-most": first <= second,
        "at-least": first >= second,
        "divides": first < 1 or second % first == 0,
    }
    return None if holds[relation] else f"{one.text} must {_MUST[relation]} {other} ({two.text})"


_MUST = {"below": "be below", "at-most": "be at most", "at-least": "be at least", "divides": "divide"}


def _given(words: Sequence[Text], known: Catalogue, env: Mapping[str, Text]) -> tuple[dict[str, Text], dict[str, str]]:
    """What is given, by the name of its option: an argument, else a variable; and the names of those variables."""
    given: dict[str, Text] = {}
    spelled: dict[str, str] = {}
    for name, value in env.items():
        option = known.env.get(name)
        if option is not None and not (option.kind == "switch" and value.text.lower() in ("", "0", "false", "off", "disabled")):
            given[option.name], spelled[option.name] = value, name
    for word, value in zip(words, [*words[1:], Text("", words[-1].place) if words else None], strict=True) if words else ():
        name, equals, joined = word.text.partition("=")
        option = known.taken.get(name)
        if option is None or value is None or not is_option(word.text):
            continue
        given[option.name] = Text(joined, word.place, word.known) if equals else value
        spelled.pop(option.name, None)
    return given, spelled

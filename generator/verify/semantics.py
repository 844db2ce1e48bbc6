"""Incompatible values, which engines refuse only at start-up. The rules are defined beside the options.

Floor 6, pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from generator.verify.catalogue import Catalogue
from generator.verify.finding import Finding, Text, is_option


def check_together(words: Sequence[Text], known: Catalogue) -> Iterator[Finding]:
    """Findings from the `together` rules of an engine: `below` for two numbers, `forbids` for two words."""
    given = _given(words, known)
    for rule in known.facts.get("together") or ():
        one, two = given.get(rule["option"]), given.get(rule["with"])
        if one is None or two is None:
            continue
        if rule.get("is") == "below" and _number(one) is not None and _number(two) is not None:
            if not float(one.text) < float(two.text):
                yield Finding("not-together", f"{rule['option']} must be below {rule['with']}: {rule['because']}", one.place)
        elif rule.get("is") == "at-most" and _number(one) is not None and _number(two) is not None:
            if not float(one.text) <= float(two.text):
                yield Finding("not-together", f"{rule['option']} must be at most {rule['with']}: {rule['because']}", one.place)
        elif one.text in rule.get("values", ()) and two.text in rule.get("forbids", ()):
            yield Finding("not-together", f"{rule['option']} {one.text} cannot be combined with {rule['with']} {two.text}: {rule['because']}", one.place)


def _given(words: Sequence[Text], known: Catalogue) -> Mapping[str, Text]:
    given: dict[str, Text] = {}
    for word, value in zip(words, [*words[1:], Text("", words[-1].place) if words else None], strict=True):
        name, equals, joined = word.text.partition("=")
        option = known.taken.get(name)
        if option is None or value is None or not is_option(word.text):
            continue
        given[option.name] = Text(joined, word.place) if equals else value
    return given


def _number(text: Text) -> float | None:
    try:
        return float(text.text)
    except ValueError:
        return None

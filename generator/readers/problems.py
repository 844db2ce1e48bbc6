"""What is wrong with a spec, in words: every error of the schema at its place, and text that would hide something.

Floor 0, pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from generator.errors import Place, Problem, did_you_mean
from generator.readers.document import Document, KeyPath

WORDS = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "object": "a mapping",
    "array": "a list",
}
"""The types of JSON Schema, as people say them."""

LONGEST = 60
"""Characters of a value that a message repeats."""


def schema_problems(document: Document, errors: Iterable[Any]) -> list[Problem]:
    """The errors of a JSON Schema validator as problems, each once, in the order of the file."""
    return in_order(problem for error in _leaves(errors) for problem in _problems(document, error))


def text_problems(document: Document) -> list[Problem]:
    """Keys and texts that hold what cannot be seen: blanks of other kinds, control and direction characters."""
    return in_order(
        Problem("bad-text", f"{_shown(text)} holds {unseen}", document.place(path, key))
        for path, text, key in texts((), document.data)
        if (unseen := _unseen(text))
    )


def _unseen(text: str) -> str | None:
    """The first character of a text that is not shown as what it is."""
    if text.isprintable():
        return None
    from unicodedata import category  # only errors pay for it

    c = next(c for c in text if not c.isprintable())
    if category(c) in ("Cc", "Cf", "Zl", "Zp"):
        return f"a control or direction character, {named(c)}"
    return f"the blank {named(c)}: write a plain one, or none" if category(c) == "Zs" else f"{named(c)}, which is no character of Unicode's tables"


def named(c: str) -> str:
    """A character as messages name it: U+0430 CYRILLIC SMALL LETTER A."""
    from unicodedata import name

    return f"U+{ord(c):04X} {name(c, '')}".rstrip()


def in_order(problems: Iterable[Problem]) -> list[Problem]:
    """Problems by their places, each once."""
    return sorted(set(problems), key=lambda p: (*(p.place or Place("")), p.code, p.message))


def texts(path: KeyPath, value: Any) -> Iterator[tuple[KeyPath, str, bool]]:
    """Every text with its path, and whether it is a key. Nesting is bounded by the reader."""
    if isinstance(value, str):
        yield path, value, False
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield (*path, key), key, True
            yield from texts((*path, key), inner)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from texts((*path, index), inner)


def _leaves(errors: Iterable[Any]) -> Iterator[Any]:
    """The errors that say something: of `if/then`, what is inside."""
    for error in errors:
        if error.validator in ("if", "then") and error.context:
            yield from _leaves(error.context)
        else:
            yield error


def _problems(document: Document, error: Any) -> Iterator[Problem]:
    path: KeyPath = tuple(error.absolute_path)
    value, rule = error.instance, error.validator_value
    place = document.place(path)
    name = str(next((step for step in reversed(path) if isinstance(step, str)), "the spec"))
    form = f" ({error.schema['form']})" if "form" in error.schema else ""
    if "propertyNames" in error.schema_path:
        if value.isprintable():  # else it is reported as such
            yield Problem("bad-text", f"{_shown(value)} is no name for a part of {name}{form}", document.place((*path, value), key=True))
        return
    match error.validator:
        case "additionalProperties" | "unevaluatedProperties":
            known = list(error.schema.get("properties", {}))
            for key in value:
                if key not in known:
                    at = document.place((*path, key), key=True)
                    yield Problem("unknown-key", f"{_shown(key)} is not known here{_near(key, known)}{_one_of(known)}", at)
        case "required":
            for key in rule:
                if key not in value:
                    yield Problem("missing-key", f"{key!r} is missing", place)
        case "const":
            yield Problem("unknown-value", f"{name} must be {rule}, not {_shown(value)}", place)
        case "dependentRequired":
            for key, needed in rule.items():
                if key in value:
                    at = document.place((*path, key), key=True)
                    yield from (Problem("missing-key", f"`{key}` needs `{other}`", at) for other in needed if other not in value)
        case "enum":
            allowed = [str(v) for v in rule]
            near = _near(value, allowed)
            what = name.replace("_", " ") if path and path[-1] == name else f"part of {name}"
            yield Problem("unknown-value", f"{_shown(value)} is no {what}{near}{_one_of(allowed)}", place)
        case "type":
            yield Problem("wrong-type", f"{name} must be {_types(rule)}, not {_shown(value)}{_hint(rule, value)}", place)
        case "minimum" | "exclusiveMinimum" | "maximum" | "exclusiveMaximum":
            yield Problem("out-of-range", f"{name} must be {BOUNDS[error.validator]} {rule:,.10g}, not {_shown(value)}", place)
        case "anyOf":
            yield from _any_of(document, error, name)
        case "pattern":
            if value.isprintable():
                yield Problem("bad-text", f"{_shown(value)} is no {name.replace('_', ' ')}{form}{_foreign(value)}", place)
        case "minLength" | "minItems" | "minProperties":
            yield Problem("bad-text", f"{name} must not be empty", place)
        case "maxLength":
            yield Problem("bad-text", f"{name} must have at most {rule} characters, not {len(value)}", place)
        case "uniqueItems":
            yield Problem("bad-value", f"{name} names something twice: {_shown(value)}", place)
        case _:
            yield Problem("bad-value", f"{name}: {_shown(value)} does not fit ({error.validator})", place)


def _foreign(value: str) -> str:
    """The first character that only looks like a plain one, named: a Cyrillic а in a repository's name."""
    c = next((c for c in value if not c.isascii()), None)
    return f": it holds {c!r}, {named(c)}" if c else ""


BOUNDS = {"minimum": "at least", "exclusiveMinimum": "more than", "maximum": "at most", "exclusiveMaximum": "less than"}


def _any_of(document: Document, error: Any, name: str) -> Iterator[Problem]:
    """Of several forms, the one whose type is right but whose value is not; else all of them."""
    for inner in error.context:
        if inner.validator not in ("type", "const", "enum"):
            yield from _problems(document, inner)
            return
    forms = [_types(part["type"]) if "type" in part else f"`{part['const']}`" for part in error.validator_value]
    value, types = error.instance, [part["type"] for part in error.validator_value if "type" in part]
    yield Problem("wrong-type", f"{name} must be {' or '.join(forms)}, not {_shown(value)}{_hint(types, value)}", document.place(tuple(error.absolute_path)))


def _types(rule: Any) -> str:
    return " or ".join(WORDS[word] for word in (rule if isinstance(rule, list) else [rule]) if word != "null")


def _hint(rule: Any, value: Any) -> str:
    """What to write instead, where that is plain."""
    types = rule if isinstance(rule, list) else [rule]
    if "string" in types and isinstance(value, int | float) and not isinstance(value, bool):
        return "; quote it"
    if "boolean" in types and isinstance(value, str) and value.lower() in ("yes", "no", "on", "off", "true", "false"):
        return f"; write {'true' if value.lower() in ('yes', 'on', 'true') else 'false'}"
    if isinstance(value, str) and {"integer", "number"} & set(types):
        bare = value.replace("_", "").replace(",", "")
        if bare.isascii() and bare.isdigit() and len(bare) <= LONGEST:
            return f"; write {bare}"
    return ""


def _near(word: Any, known: list[str]) -> str:
    return did_you_mean(word, known) if isinstance(word, str) and len(word) <= LONGEST else ""


def _one_of(allowed: list[str]) -> str:
    return f" (one of {', '.join(allowed)})" if allowed else ""


def _shown(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, dict | list) and len(value) > 3:
        return f"a {'mapping' if isinstance(value, dict) else 'list'} of {len(value)}"
    text = {True: "true", False: "false"}[value] if isinstance(value, bool) else repr(value)
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"

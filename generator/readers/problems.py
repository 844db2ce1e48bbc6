"""Problems of a spec as messages: schema violations at their places, and text with invisible characters. Floor 0, pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from generator.errors import Place, Problem, did_you_mean
from generator.readers.document import Document, KeyPath

Violation = Any
"""An error of a JSON Schema validator; its `instance` and `validator_value` have the form that its keyword asks for."""

WORDS = {"string": "text", "integer": "a whole number", "number": "a number", "boolean": "true or false", "object": "a mapping", "array": "a list"}
"""Readable names of JSON Schema types."""

SEVERITIES = ("error", "warning", "note")
LONGEST = 60
"""Maximum length of a value in a message."""


def schema_problems(document: Document, errors: Iterable[Violation], homes: Mapping[str, str] = {}) -> list[Problem]:
    """The errors of a JSON Schema validator as problems, each once, in the order of the file.

    `homes` says for a key that is not known where it stands what to write instead: `pin.engine` for `engine`."""
    return in_order(problem for error in _leaves(errors) for problem in _problems(document, error, homes))


def text_problems(document: Document) -> list[Problem]:
    """Keys and texts with invisible characters: unusual blanks, control and direction characters."""
    return in_order(
        Problem("bad-text", f"{_shown(text)} holds {unseen}", document.place(path, key))
        for path, text, key in texts((), document.data)
        if (unseen := _unseen(text))
    )


def _unseen(text: str) -> str | None:
    """The first invisible or misleading character of a text."""
    if text.isprintable():
        return None
    from unicodedata import category  # imported lazily: only errors need it

    c = next(c for c in text if not c.isprintable())
    if category(c) in ("Cc", "Cf", "Zl", "Zp"):
        return f"a control or direction character, {named(c)}"
    return f"the blank {named(c)}: use a plain blank, or none" if category(c) == "Zs" else f"{named(c)}, which is not an assigned Unicode character"


def named(c: str) -> str:
    """A character's name for messages: U+0430 CYRILLIC SMALL LETTER A."""
    from unicodedata import name

    return f"U+{ord(c):04X} {name(c, '')}".rstrip()


def in_order(problems: Iterable[Problem]) -> list[Problem]:
    """Problems by file, line and column, errors first, each once."""
    return sorted(set(problems), key=lambda p: (*(p.place or Place("", 0, 0)), SEVERITIES.index(p.severity), p.code, p.message))


def texts(path: KeyPath, value: object) -> Iterator[tuple[KeyPath, str, bool]]:
    """All texts with their paths, and whether each is a key. The reader bounds the nesting."""
    if isinstance(value, str):
        yield path, value, False
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield (*path, key), key, True
            yield from texts((*path, key), inner)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from texts((*path, index), inner)


def _leaves(errors: Iterable[Violation]) -> Iterator[Violation]:
    """The informative errors: for `if/then`, the inner ones."""
    for error in errors:
        if error.validator in ("if", "then") and error.context:
            yield from _leaves(error.context)
        else:
            yield error


def _problems(document: Document, error: Violation, homes: Mapping[str, str]) -> Iterator[Problem]:
    path: KeyPath = tuple(error.absolute_path)
    value, rule = error.instance, error.validator_value
    place = document.place(path)
    name = str(next((step for step in reversed(path) if isinstance(step, str)), "the spec"))
    form = f" ({error.schema['form']})" if "form" in error.schema else ""
    if "propertyNames" in error.schema_path:
        if value.isprintable():  # otherwise reported as invisible text
            yield Problem("bad-text", f"{_shown(value)} is not a valid key of {name}{form}", document.place((*path, value), key=True))
        return
    match error.validator:
        case "additionalProperties" | "unevaluatedProperties":
            known = list(error.schema.get("properties", {}))
            for key in value:
                if key not in known:
                    at = document.place((*path, key), key=True)
                    instead = f" here; write `{homes[key]}`" if key in homes else f"{_near(key, known)}{_one_of(known)}"
                    yield Problem("unknown-key", f"{_shown(key)} is not a known key{instead}", at)
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
        case "type" | "pattern" if "units" in error.schema:
            rule = [word for word in error.schema["type"] if word != "string"]
            yield Problem("wrong-type", f"{name} must be {_types(rule)}{form}, not {_shown(value)}{_hint(rule, value)}", place)
        case "type":
            hint = _hint(rule, value)
            yield Problem("wrong-type", f"{name} must be {_types(rule)}{'' if hint else form}, not {_shown(value)}{hint}", place)
        case "minimum" | "exclusiveMinimum" | "maximum" | "exclusiveMaximum":
            yield Problem("out-of-range", f"{name} must be {BOUNDS[error.validator]} {rule:,.10g}, not {_shown(value)}", place)
        case "anyOf":
            yield from _any_of(document, error, name, homes)
        case "pattern":
            if value.isprintable():
                yield Problem("bad-text", f"{_shown(value)} is no {name.replace('_', ' ')}{form}{_foreign(value)}", place)
        case "minLength" | "minItems" | "minProperties":
            yield Problem("bad-text", f"{name} must not be empty", place)
        case "maxLength":
            yield Problem("bad-text", f"{name} must have at most {rule} characters, not {len(value)}", place)
        case "uniqueItems":
            yield Problem("bad-value", f"{name} contains a duplicate: {_shown(value)}", place)
        case _:
            yield Problem("bad-value", f"{name}: {_shown(value)} is not valid ({error.validator})", place)


def _foreign(value: str) -> str:
    """The name of the first look-alike character: a Cyrillic а in a repository's name."""
    c = next((c for c in value if not c.isascii()), None)
    return f": it holds {c!r}, {named(c)}" if c else ""


BOUNDS = {"minimum": "at least", "exclusiveMinimum": "more than", "maximum": "at most", "exclusiveMaximum": "less than"}


def _any_of(document: Document, error: Violation, name: str, homes: Mapping[str, str]) -> Iterator[Problem]:
    """Of several alternatives, the one with the right type but a wrong value; else all of them."""
    for inner in error.context:
        if inner.validator not in ("type", "const", "enum"):
            yield from _problems(document, inner, homes)
            return
    forms = [_types(part["type"]) if "type" in part else f"`{part['const']}`" for part in error.validator_value]
    value, types = error.instance, [part["type"] for part in error.validator_value if "type" in part]
    yield Problem("wrong-type", f"{name} must be {' or '.join(forms)}, not {_shown(value)}{_hint(types, value)}", document.place(tuple(error.absolute_path)))


def _types(rule: str | list[str]) -> str:
    return " or ".join(WORDS[word] for word in (rule if isinstance(rule, list) else [rule]) if word != "null")


def _hint(rule: str | list[str], value: object) -> str:
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


def _near(word: object, known: list[str]) -> str:
    return did_you_mean(word, known) if isinstance(word, str) and len(word) <= LONGEST else ""


def _one_of(allowed: list[str]) -> str:
    return f" (one of {', '.join(allowed)})" if allowed else ""


def _shown(value: object) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, dict | list) and len(value) > 3:
        return f"a {'mapping' if isinstance(value, dict) else 'list'} of {len(value)}"
    text = {True: "true", False: "false"}[value] if isinstance(value, bool) else repr(value)
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"

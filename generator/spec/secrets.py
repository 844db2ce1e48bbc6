"""Secrets in a spec: detected by key name or form, and refused before any message can repeat them.

Floor 2. Names and forms of secrets are data (`rules/secrets.json`) outside the rule sets: no rule set can switch them off."""

from __future__ import annotations

import re
from collections.abc import Iterator

from generator.errors import Problem
from generator.readers.document import Document, KeyPath
from generator.readers.problems import texts
from generator.readers.resources import shipped

FILE = "secrets.json"
WAY_OUT = "set it in the environment that starts the server; for the API key of clients, name its variable in deploy.api_key_from"


def is_secret_name(name: str) -> bool:
    """Whether an option or variable with this name holds a secret."""
    known = shipped(FILE)["names"]
    words = " " + re.sub(r"[-_.]+|(?<=[a-z0-9])(?=[A-Z])", " ", name).lower().rstrip(" 0123456789")
    return words.endswith(tuple(f" {end}" for end in known["ends"])) and not words.endswith(tuple(f" {end}" for end in known["not"]))


def secret_in(text: str) -> str | None:
    """The kind of secret found in a text; None for none."""
    for shape in shipped(FILE)["values"]:
        if shape["holds"] in text and re.search(shape["pattern"], text):
            return str(shape["title"])
    return None


def secret_problems(document: Document) -> list[Problem]:
    """All secrets in a spec, at their places; no message repeats a secret."""
    found = []
    for path, text, key in texts((), document.data):
        if title := secret_in(text):
            where = "a key" if key else ".".join(map(str, path))
            found.append(_refused(document, path, f"{where} holds {title}", key))
    for path, value in _settings(document.data):
        if is_secret_name(str(path[-1])) and _is_text(value) and not secret_in(str(value)):
            found.append(_refused(document, path, f"{'.'.join(map(str, path))} is a secret by its name", False))
    return found


def _refused(document: Document, path: KeyPath, what: str, key: bool) -> Problem:
    return Problem("secret", f"{what}, and no file may contain one: {WAY_OUT}", document.place(path, key))


def _is_text(value: object) -> bool:
    """Whether a value could be a secret, unlike switches and words such as `auto`."""
    values = value if isinstance(value, list) else [value]
    return any(isinstance(one, str | int | float) and not isinstance(one, bool) and str(one).lower() not in shipped(FILE)["harmless"] for one in values)


def _settings(data: object) -> Iterator[tuple[KeyPath, object]]:
    """The spec's free-form names: environment variables, and options by engine, with the keys inside them."""
    deploy = data.get("deploy") if isinstance(data, dict) else None
    if isinstance(deploy, dict):
        for key in ("env", "extra_args"):
            yield from _leaves(("deploy", key), deploy.get(key))


def _leaves(path: KeyPath, value: object) -> Iterator[tuple[KeyPath, object]]:
    for name, inner in value.items() if isinstance(value, dict) else ():
        yield from _leaves((*path, name), inner)
    if not isinstance(value, dict):
        yield path, value

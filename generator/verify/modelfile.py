"""A reader of Ollama's Modelfile, as Ollama reads it: commands by line, no escapes, comments only between commands.

Floor 6, pure. Written from the grammar in Ollama's `parser` package; it reads what we write.
"""

from __future__ import annotations

import re
from typing import NamedTuple

COMMANDS = (
    "FROM",
    "LICENSE",
    "TEMPLATE",
    "SYSTEM",
    "ADAPTER",
    "DRAFT",
    "RENDERER",
    "PARSER",
    "PARAMETER",
    "MESSAGE",
    "REQUIRES",
)
ROLES = ("system", "user", "assistant")


class Command(NamedTuple):
    """One command; `name` is that of a PARAMETER or the role of a MESSAGE, else empty."""

    word: str
    name: str
    value: str


class ModelfileError(ValueError):
    """What Ollama would refuse, with the line (0 where it is the whole file)."""

    def __init__(self, message: str, line: int = 0) -> None:
        super().__init__(f"line {line}: {message}" if line else message)
        self.message, self.line = message, line


def read(text: str) -> list[Command]:
    """The commands of a Modelfile.

    Raises `ModelfileError` for an unknown command, a name without a value, a quote that does not end, an empty value,
    and a file without FROM.
    """
    return [command for _, command in read_with_lines(text)]


def read_with_lines(text: str) -> list[tuple[int, Command]]:
    """The same, each with the line it begins on."""
    commands: list[tuple[int, Command]] = []
    lines = text.split("\n")
    number = 0
    while number < len(lines):
        start, line = number + 1, lines[number]
        number += 1
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        word, name, value = _head(line.lstrip(), start)
        while (closed := unquote(value.strip())) is None:
            if number >= len(lines):
                raise ModelfileError("the quote does not end", start)
            value += "\n" + lines[number]
            number += 1
        if not closed.strip():
            raise ModelfileError(f"{word} has no value", start)
        commands.append((start, Command(word, name, closed)))
    if not any(command.word == "FROM" for _, command in commands):
        raise ModelfileError("there is no FROM")
    return commands


def _head(line: str, number: int) -> tuple[str, str, str]:
    match = re.match(r"([A-Za-z]+)[ \t]+(.*)\Z", line)
    word = match.group(1).upper() if match else ""
    if match is None or word not in COMMANDS:
        raise ModelfileError(f"no command of a Modelfile: {line!r}", number)
    if word not in ("PARAMETER", "MESSAGE"):
        return word, "", match.group(2)
    rest = re.match(r"([A-Za-z0-9_]+)[ \t]+(.*)\Z", match.group(2))
    if rest is None or (word == "MESSAGE" and rest.group(1) not in ROLES):
        raise ModelfileError(f"{word} needs a name and a value", number)
    return word, rest.group(1), rest.group(2)


def unquote(text: str) -> str | None:
    """A value without its quotes; None where a quote is still open."""
    for quote in ('"""', '"'):
        if text.startswith(quote):
            return text[len(quote) : -len(quote)] if len(text) >= 2 * len(quote) and text.endswith(quote) else None
    return text


def quote(text: str) -> str:
    """A value as a Modelfile holds it: it has no escapes, so what cannot be quoted is refused with `ModelfileError`."""
    if text and text == text.strip() and not text.startswith('"') and "\n" not in text and "\r" not in text:
        return text
    for mark in ('"', '"""'):
        quoted = mark + text + mark
        if "\r" not in text and text.strip() and unquote(quoted) == text and ("\n" not in text or _whole(quoted)):
            return quoted
    raise ModelfileError(f"a Modelfile cannot hold {text!r}")


def _whole(quoted: str) -> bool:
    """Whether no line of a quoted text before the last one ends the quote."""
    lines = quoted.split("\n")
    return all(unquote("\n".join(lines[:n]).strip()) is None for n in range(1, len(lines)))

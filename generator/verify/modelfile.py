"""A parser for Ollama's Modelfile that follows Ollama: commands by line, no escapes, comments only between commands.

Floor 6, pure. Based on the grammar in Ollama's `parser` package; it verifies generated files."""

from __future__ import annotations

import re
from typing import NamedTuple

COMMANDS = ("FROM", "LICENSE", "TEMPLATE", "SYSTEM", "ADAPTER", "DRAFT", "RENDERER", "PARSER", "PARAMETER", "MESSAGE", "REQUIRES")
ROLES = ("system", "user", "assistant")


class Command(NamedTuple):
    """One command; `name` is the name of a PARAMETER or the role of a MESSAGE, else empty."""

    word: str
    name: str
    value: str


class ModelfileError(ValueError):
    """A text that Ollama would refuse, with the line (0 for the whole file)."""

    def __init__(self, message: str, line: int = 0) -> None:
        super().__init__(f"line {line}: {message}" if line else message)
        self.message, self.line = message, line


def read(text: str) -> list[Command]:
    """The commands of a Modelfile.

    Raises `ModelfileError` for an unknown command, a name without a value, an unterminated quote, an empty value, and a file without FROM."""
    return [command for _, command in read_with_lines(text)]


def read_with_lines(text: str) -> list[tuple[int, Command]]:
    """The commands of a Modelfile, each with its first line."""
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
                raise ModelfileError("the quote is not closed", start)
            value += "\n" + lines[number]
            number += 1
        if not closed.strip():
            raise ModelfileError(f"{word} has no value", start)
        commands.append((start, Command(word, name, closed)))
    if not any(command.word == "FROM" for _, command in commands):
        raise ModelfileError("FROM is missing")
    return commands


def _head(line: str, number: int) -> tuple[str, str, str]:
    match = re.match(r"([A-Za-z]+)[ \t]+(.*)\Z", line)
    word = match.group(1).upper() if match else ""
    if match is None or word not in COMMANDS:
        raise ModelfileError(f"not a Modelfile command: {line!r}", number)
    if word not in ("PARAMETER", "MESSAGE"):
        return word, "", match.group(2)
    rest = re.match(r"([A-Za-z0-9_]+)[ \t]+(.*)\Z", match.group(2))
    if rest is None or (word == "MESSAGE" and rest.group(1) not in ROLES):
        raise ModelfileError(f"{word} needs a name and a value", number)
    return word, rest.group(1), rest.group(2)


def unquote(text: str) -> str | None:
    """A value without its quotes; None if a quote is still open."""
    for quote in ('"""', '"'):
        if text.startswith(quote):
            return text[len(quote) : -len(quote)] if len(text) >= 2 * len(quote) and text.endswith(quote) else None
    return text


def quote(text: str) -> str:
    """A value quoted for a Modelfile; without escapes some values cannot be quoted and raise `ModelfileError`."""
    if text and text == text.strip() and not text.startswith('"') and "\n" not in text and "\r" not in text:
        return text
    for mark in ('"', '"""'):
        quoted = mark + text + mark
        if "\r" not in text and text.strip() and unquote(quoted) == text and ("\n" not in text or _whole(quoted)):
            return quoted
    raise ModelfileError(f"a Modelfile cannot represent {text!r}")


def _whole(quoted: str) -> bool:
    """Whether only the last line of a quoted text closes the quote."""
    lines = quoted.split("\n")
    return all(unquote("\n".join(lines[:n]).strip()) is None for n in range(1, len(lines)))

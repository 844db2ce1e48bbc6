"""Workflow commands of GitHub Actions. `%`, line ends and, in properties, `:` and `,` are escaped, so that no value can start a new command.

Floor 7, pure."""

from __future__ import annotations

from generator.errors import printable


def command(kind: str, message: str, **properties: str) -> str:
    """One workflow command."""
    told = ",".join(f"{key}={_property(value)}" for key, value in properties.items())
    return f"::{kind} {told}::{_data(message)}"


def _data(text: str) -> str:
    return printable(text).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")

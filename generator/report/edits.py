"""How generated files differ from what lies on the disk, for a person: the edits, and what to do with them.

Floor 7, pure.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator

from generator.errors import printable

MOST_LINES = 40
"""Lines of one file's diff that a message shows; `-v` shows all."""

WAYS_OUT = """\
To keep an edit, say it where it is generated from: in the spec, or engine flags in
`deploy: {extra_args: {ENGINE: {FLAG: VALUE}}}`; then run again with --force.
To drop it, run again with --force."""


def unified(old: bytes | str | None, new: bytes | str | None, old_name: str, new_name: str) -> list[str]:
    """The unified diff of two texts, without line ends; control characters are shown escaped."""
    found = difflib.unified_diff(_lines(old), _lines(new), old_name, new_name, lineterm="")
    return [printable(line.expandtabs(4)) if line.isascii() else printable(line) for line in found]


def edit(path: str, now: bytes | None, found: bytes | None, whole: bool = False, indent: str = "    ") -> Iterator[str]:
    """What was edited in a file, from what would be generated to what lies there."""
    yield from _shown(unified(now, found, f"{path} (generated)", f"{path} (on disk)"), whole, indent)


def drift(path: str, now: bytes | None, found: bytes | None, whole: bool = False, indent: str = "    ") -> Iterator[str]:
    """What generating again would change in a file."""
    yield from _shown(unified(found, now, f"{path} (on disk)", f"{path} (generated)"), whole, indent)


def _shown(lines: list[str], whole: bool, indent: str) -> Iterator[str]:
    shown = lines if whole or len(lines) <= MOST_LINES + 1 else lines[:MOST_LINES]
    for line in shown:
        yield f"{indent}{line}"
    if len(shown) < len(lines):
        yield f"{indent}… {len(lines) - len(shown)} lines more (-v shows all)"


def _lines(text: bytes | str | None) -> list[str]:
    if isinstance(text, bytes):
        text = text.decode("utf-8", "backslashreplace")
    return (text or "").splitlines()

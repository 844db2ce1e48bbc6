"""Differences between generated files and the files on disk, for a reader: the edits, and how to resolve them. Floor 7, pure."""

from __future__ import annotations

from collections.abc import Iterator

from generator.errors import printable

MOST_LINES = 40
"""Maximum number of diff lines in a message; `-v` shows all."""

WAYS_OUT = """\
To keep an edit, move it into the spec; engine flags go into
`deploy: {extra_args: {ENGINE: {FLAG: VALUE}}}`. Then run again with --force.
To discard it, run again with --force."""


def unified(old: bytes | str | None, new: bytes | str | None, old_name: str, new_name: str) -> list[str]:
    """The unified diff of two texts, without line ends; control characters are shown escaped."""
    from difflib import unified_diff  # imported lazily: few runs find edits

    found = unified_diff(_lines(old), _lines(new), old_name, new_name, lineterm="")
    return [printable(line.expandtabs(4)) if line.isascii() else printable(line) for line in found]


def edit(path: str, now: bytes | None, found: bytes | None, whole: bool = False, indent: str = "    ") -> Iterator[str]:
    """The manual edit of a file, as a diff from the generated text to the file on disk."""
    yield from _shown(unified(now, found, f"{path} (generated)", f"{path} (on disk)"), whole, indent)


def drift(path: str, now: bytes | None, found: bytes | None, whole: bool = False, indent: str = "    ") -> Iterator[str]:
    """The changes that regeneration would make to a file."""
    yield from _shown(unified(found, now, f"{path} (on disk)", f"{path} (generated)"), whole, indent)


def _shown(lines: list[str], whole: bool, indent: str) -> Iterator[str]:
    shown = lines if whole or len(lines) <= MOST_LINES + 1 else lines[:MOST_LINES]
    for line in shown:
        yield f"{indent}{line}"
    if len(shown) < len(lines):
        yield f"{indent}… {len(lines) - len(shown)} more lines (-v shows all)"


def _lines(text: bytes | str | None) -> list[str]:
    if isinstance(text, bytes):
        text = text.decode("utf-8", "backslashreplace")
    return (text or "").splitlines()

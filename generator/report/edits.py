"""Differences between generated files and the files on disk, for a reader: the edits, and how to resolve them. Floor 7, pure."""

from __future__ import annotations

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


def edit(path: str, now: bytes | None, found: bytes | None, whole: bool = False) -> list[str]:
    """The manual edit of a file, as a diff from the generated text to the file on disk; in part unless `whole`."""
    lines = unified(now, found, f"{path} (generated)", f"{path} (on disk)")
    if not whole and len(lines) > MOST_LINES + 1:
        lines = [*lines[:MOST_LINES], f"… {len(lines) - MOST_LINES} more lines (-v shows all)"]
    return [f"    {line}" for line in lines]


def drift(path: str, now: bytes | None, found: bytes | None) -> list[str]:
    """The changes that regeneration would make to a file."""
    return [f"    {line}" for line in unified(found, now, f"{path} (on disk)", f"{path} (generated)")]


def _lines(text: bytes | str | None) -> list[str]:
    if isinstance(text, bytes):
        text = text.decode("utf-8", "backslashreplace")
    return (text or "").splitlines()

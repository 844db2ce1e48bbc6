"""A start-up log as plain lines, however hostile: size, length of lines, escape sequences and encoding are all bounded.

Floor 4: reads the logs that the user names, and nothing else.
"""

from __future__ import annotations

import re
from pathlib import Path

from generator.binary import open_regular

MAX_BYTES = 64 << 20
"""Only the first part of a longer log is read: an engine says what it allocates while it starts."""

MAX_LINE = 16_384
"""Characters of one line that are looked at; vLLM's longest line of interest has some 6,000."""

_ESCAPE = re.compile(r"\x1b(?:\[[0-9;?]{0,32}[ -/]{0,4}[@-~]|\][^\x07\x1b]{0,256}(?:\x07|\x1b\\)?|[@-Z\\-_])")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


def read_lines(path: Path) -> list[str]:
    """The lines of a log, without colours and control characters; progress bars count as lines of their own.

    Raises `InputError` for what cannot be read or is no regular file.
    """
    name = str(path)
    file, _ = open_regular(path, name, "log")
    with file:
        raw = file.read(MAX_BYTES)
    return plain(raw.decode("utf-8-sig", "replace"))


def plain(text: str) -> list[str]:
    """Text as lines of bounded length, without escape sequences."""
    lines = []
    for line in re.split(r"\r\n|\n|\r", text):
        cut = line[:MAX_LINE]
        if "\x1b" in cut:
            cut = _ESCAPE.sub("", cut)
        lines.append(_CONTROL.sub("", cut))
    return lines

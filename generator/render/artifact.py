"""One file to be written.

Floor 6, pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)  # no slots: `data` is kept
class Artifact:
    """A file's path (relative to the spec's folder, with `/`), its text, and whether it is a program."""

    path: str
    text: str
    executable: bool = False

    @cached_property
    def data(self) -> bytes:
        """The bytes to be written."""
        return self.text.encode()

"""A generated file in memory. Floor 6, pure."""

from __future__ import annotations

from functools import cached_property

from generator.record import dataclass


@dataclass(frozen=True)  # no slots: `data` is kept
class Artifact:
    """A file's path (relative to the spec's output folder, with `/`), its text, and whether it is executable."""

    path: str
    text: str
    executable: bool = False

    @cached_property
    def data(self) -> bytes:
        """The bytes of the file."""
        return self.text.encode()

"""Writing the lock: whole or not at all, and merged with what another run wrote meanwhile. Floor 8."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from generator.disk.placing import replace_file
from generator.disk.write import locked
from generator.errors import Problem, WriteError
from generator.hub.lock import EMPTY, Lock, read_lock, text_of


def write_lock(path: Path, change: Callable[[Lock], Lock]) -> bool:
    """Put the changed lock in the place of the one that is there; returns whether its text differs.

    `change` gets the lock as it is now, which may be newer than the one that the caller read. Raises `WriteError`, and `InputError` for a
    lock that cannot be read."""
    try:
        with locked(path.parent):
            text = text_of(change(read_lock(path) if path.exists() else EMPTY)).encode()
            if path.exists() and path.read_bytes() == text:
                return False
            replace_file(path, text)
    except OSError as error:
        raise WriteError(Problem("cannot-write", f"{path}: {error.strerror or error}")) from None
    return True

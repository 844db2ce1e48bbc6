"""Compiled rule sets: a folder with one JSON file per section and an index that says what it was made from.

Floor 1. Nothing that lies on a disk is trusted: a folder counts only if its index names the same YAML, byte for byte,
and a section only if it has the hash that the index gives. What is damaged is as if it were not there. Index and sections
lie side by side, so whoever can write one can write the other: in a user's cache the guard is that nobody else can
(`guarded`). The sets of a wheel are as safe as the installed code beside them.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

INDEX = "index.json"
KEPT = 8
"""Compiled sets that stay in a cache folder; an older one is made again in less than a second."""
OWN_FOLDERS = 3
"""The folders of a cache that are its own: the set's, the one of all sets, and the tool's."""


class Damaged(Exception):
    """A compiled section is missing or is not what was written."""


class Compiled:
    """A compiled set whose sections are read when they are asked for."""

    def __init__(self, folder: Path, hashes: Mapping[str, str], guarded: bool = False) -> None:
        self._folder, self._hashes, self._guarded = folder, hashes, guarded

    def section(self, name: str) -> object:
        """A section's data; raises `Damaged`."""
        try:
            raw = _read(self._folder / f"{name}.json", self._guarded)
            if hashlib.sha256(raw).hexdigest() == self._hashes[name]:
                return json.loads(raw)
        except (OSError, ValueError, KeyError, RecursionError):
            pass
        raise Damaged(name)


def opened(folder: Path, fingerprint: str, guarded: bool = False) -> Compiled | None:
    """The compiled set in a folder, if it was made from what has this fingerprint.

    `guarded` for the user's cache: folders and files then have to be the user's own, and nobody else's to write.
    """
    try:
        if guarded and not all(_ours(os.lstat(one), stat.S_ISDIR) for one in _own_folders(folder)):
            return None
        index = json.loads(_read(folder / INDEX, guarded))
        same = index["fingerprint"] == fingerprint and isinstance(index["sections"], dict)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return Compiled(folder, index["sections"], guarded) if same else None


def _own_folders(folder: Path) -> list[Path]:
    """The cache's own folders, the outermost first."""
    return [folder, *folder.parents][OWN_FOLDERS - 1 :: -1]


def _ours(status: os.stat_result, kind: Callable[[int], bool]) -> bool:
    """Whether this is of the kind, belongs to the user, and nobody else may write it. A link is of neither kind."""
    return kind(status.st_mode) and status.st_uid == os.geteuid() and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _read(path: Path, guarded: bool) -> bytes:
    """A file's bytes; guarded, nothing but a file of the user's own is ever opened to its end (a FIFO would block)."""
    if not guarded:
        return path.read_bytes()
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(handle, "rb") as file:
        if not _ours(os.fstat(handle), stat.S_ISREG):
            raise PermissionError(str(path))
        return file.read()


def write(folder: Path, fingerprint: str, sections: Mapping[str, object], guarded: bool = False) -> bool:
    """Write a compiled set, whole or not at all; False where that is not possible (a read-only home, a full disk, a cache that others can write).

    What lies there already is replaced. Of two processes that write at once, one wins, and both are right.
    """
    staging = None
    try:
        folder.parent.parent.parent.mkdir(parents=True, exist_ok=True)
        for one in _own_folders(folder)[:-1]:
            with suppress(FileExistsError):
                one.mkdir(0o755)
            if guarded and not _ours(os.lstat(one), stat.S_ISDIR):
                return False
        staging = Path(tempfile.mkdtemp(prefix=".", dir=folder.parent))
        staging.chmod(0o755)
        hashes = {}
        for name, data in sections.items():
            raw = json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode()
            _put(staging / f"{name}.json", raw)
            hashes[name] = hashlib.sha256(raw).hexdigest()
        _put(staging / INDEX, json.dumps({"fingerprint": fingerprint, "sections": hashes}, indent=1).encode())
        if os.path.lexists(folder):  # damaged, or of other rules: a reader that has it open falls back to YAML
            folder.rename(staging / "old")
        staging.rename(folder)
        _remove(folder / "old")
    except OSError:
        if staging is not None:
            shutil.rmtree(staging, ignore_errors=True)
        return False
    return True


def _put(path: Path, raw: bytes) -> None:
    """Write a file that nobody else can write, whatever the umask: it would not be read again."""
    path.write_bytes(raw)
    path.chmod(0o644)


def _remove(path: Path) -> None:
    """Remove what lies there: a link and not what it leads to, and a FIFO unopened."""
    with suppress(OSError):
        if stat.S_ISDIR(os.lstat(path).st_mode):
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()


def prune(parent: Path) -> None:
    """Remove all but the newest compiled sets of a cache folder, and what interrupted runs left there."""
    try:
        found = sorted((p for p in parent.iterdir() if p.is_dir()), key=lambda p: p.stat().st_mtime, reverse=True)
    except OSError:
        return
    for folder in found[KEPT:]:
        shutil.rmtree(folder, ignore_errors=True)

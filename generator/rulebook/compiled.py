"""Compiled rule sets: a folder with one JSON file per section, and an index with the fingerprint of its input.

Floor 1. Files on disk are not trusted: a folder is valid only if its index names the same YAML, byte for byte,
and a section only if its hash matches the index. Damaged files are treated as missing. Index and sections
are in the same folder, so write access to one implies the other: in a user's cache nobody else may have write access
(`guarded`). The sets of a wheel are as safe as the installed code.
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
"""Number of compiled sets kept in a cache folder; recompiling an older one takes less than a second."""
OWN_FOLDERS = 3
"""Number of the cache's own folder levels: the set's, the parent of all sets, and the tool's."""


class Damaged(Exception):
    """A compiled section is missing or corrupt."""


class Compiled:
    """A compiled set with lazily read sections."""

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
    """The compiled set in a folder, if its fingerprint matches.

    `guarded` for the user's cache: folders and files must belong to the user and not be writable by others.
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
    """The cache's own folders, outermost first."""
    return [folder, *folder.parents][OWN_FOLDERS - 1 :: -1]


def _ours(status: os.stat_result, kind: Callable[[int], bool]) -> bool:
    """Whether a file or folder has this kind, belongs to the user, and is not writable by others. Symlinks never qualify."""
    return kind(status.st_mode) and status.st_uid == os.geteuid() and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _read(path: Path, guarded: bool) -> bytes:
    """A file's bytes; if guarded, only a regular file of the user is read (a FIFO would block)."""
    if not guarded:
        return path.read_bytes()
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(handle, "rb") as file:
        if not _ours(os.fstat(handle), stat.S_ISREG):
            raise PermissionError(str(path))
        return file.read()


def write(folder: Path, fingerprint: str, sections: Mapping[str, object], guarded: bool = False) -> bool:
    """Write a compiled set, completely or not at all; False if impossible (a read-only home, a full disk, a cache writable by others).

    An existing set is replaced. If two processes write at once, one wins, and both results are equal.
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
        if os.path.lexists(folder):  # damaged or outdated: a process reading it falls back to YAML
            folder.rename(staging / "old")
        staging.rename(folder)
        _remove(folder / "old")
    except OSError:
        if staging is not None:
            shutil.rmtree(staging, ignore_errors=True)
        return False
    return True


def _put(path: Path, raw: bytes) -> None:
    """Write a file that others cannot write, despite the umask: otherwise it would be rejected on reading."""
    path.write_bytes(raw)
    path.chmod(0o644)


def _remove(path: Path) -> None:
    """Remove a path: a symlink without its target, a FIFO without opening it."""
    with suppress(OSError):
        if stat.S_ISDIR(os.lstat(path).st_mode):
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()


def prune(parent: Path) -> None:
    """Remove all but the newest compiled sets of a cache folder, and leftovers of interrupted runs."""
    try:
        found = sorted((p for p in parent.iterdir() if p.is_dir()), key=lambda p: p.stat().st_mtime, reverse=True)
    except OSError:
        return
    for folder in found[KEPT:]:
        shutil.rmtree(folder, ignore_errors=True)

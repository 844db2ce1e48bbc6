"""Compiled rule sets: a folder with one JSON file per section, and an index with the fingerprint of its input.

Floor 1. A folder is valid only if its index names the same YAML, byte for byte, and a section only if its hash matches the index.
Damaged files are treated as missing. The sets lie beside the code, in a wheel as in a checkout, and are as safe as it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

INDEX = "index.json"


class Damaged(Exception):
    """A compiled section is missing or corrupt."""


class Compiled:
    """A compiled set with lazily read sections."""

    def __init__(self, folder: Path, hashes: Mapping[str, str]) -> None:
        self._folder, self._hashes = folder, hashes

    def section(self, name: str) -> object:
        """A section's data; raises `Damaged`."""
        try:
            raw = (self._folder / f"{name}.json").read_bytes()
            if hashlib.sha256(raw).hexdigest() == self._hashes[name]:
                return json.loads(raw)
        except (OSError, ValueError, KeyError, RecursionError):
            pass
        raise Damaged(name)


def opened(folder: Path, fingerprint: str) -> Compiled | None:
    """The compiled set in a folder, if its fingerprint matches."""
    try:
        index = json.loads((folder / INDEX).read_bytes())
        same = index["fingerprint"] == fingerprint and isinstance(index["sections"], dict)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return Compiled(folder, index["sections"]) if same else None


def write(folder: Path, fingerprint: str, sections: Mapping[str, object]) -> bool:
    """Write a compiled set, completely or not at all; False if impossible (a full disk, a checkout of another user).

    An existing set is replaced. If two processes write at once, one wins, and both results are equal."""
    staging = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=".", dir=folder.parent))
        staging.chmod(0o755)
        hashes = {}
        for name, data in sections.items():
            raw = json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode()
            (staging / f"{name}.json").write_bytes(raw)
            hashes[name] = hashlib.sha256(raw).hexdigest()
        (staging / INDEX).write_text(json.dumps({"fingerprint": fingerprint, "sections": hashes}, indent=1), encoding="utf-8")
        if os.path.lexists(folder):  # damaged or outdated: a process reading it falls back to YAML
            folder.rename(staging / "old")
        staging.rename(folder)
        shutil.rmtree(folder / "old", ignore_errors=True)
    except OSError:
        if staging is not None:
            shutil.rmtree(staging, ignore_errors=True)
        return False
    return True

"""Compiled rule sets: a folder with one JSON file per section and an index that says what it was made from.

Floor 1. Nothing that lies on a disk is trusted: a folder counts only if its index names the same YAML, byte for byte,
and a section only if it has the hash that the index gives. What is damaged is as if it were not there.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

INDEX = "index.json"
KEPT = 8
"""Compiled sets that stay in a cache folder; an older one is made again in less than a second."""


class Damaged(Exception):
    """A compiled section is missing or is not what was written."""


class Compiled:
    """A compiled set whose sections are read when they are asked for."""

    def __init__(self, folder: Path, hashes: Mapping[str, str]) -> None:
        self._folder, self._hashes = folder, hashes

    def section(self, name: str) -> Any:
        """A section's data; raises `Damaged`."""
        try:
            raw = (self._folder / f"{name}.json").read_bytes()
            if hashlib.sha256(raw).hexdigest() == self._hashes[name]:
                return json.loads(raw)
        except (OSError, ValueError, KeyError):
            pass
        raise Damaged(name)


def opened(folder: Path, fingerprint: str) -> Compiled | None:
    """The compiled set in a folder, if it was made from what has this fingerprint."""
    try:
        index = json.loads((folder / INDEX).read_bytes())
        same = index["fingerprint"] == fingerprint and isinstance(index["sections"], dict)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return Compiled(folder, index["sections"]) if same else None


def write(folder: Path, fingerprint: str, sections: Mapping[str, Any]) -> bool:
    """Write a compiled set, whole or not at all; False where that is not possible (a read-only home, a full disk).

    What lies there already is replaced. Of two processes that write at once, one wins, and both are right.
    """
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
        if folder.exists():  # damaged, or of other rules: a reader that has it open falls back to YAML
            old = staging / "old"
            folder.rename(old)
        staging.rename(folder)
        shutil.rmtree(folder / "old", ignore_errors=True)
    except OSError:
        if staging is not None:
            shutil.rmtree(staging, ignore_errors=True)
        return False
    return True


def prune(parent: Path) -> None:
    """Remove all but the newest compiled sets of a cache folder, and what interrupted runs left there."""
    try:
        found = sorted((p for p in parent.iterdir() if p.is_dir()), key=lambda p: p.stat().st_mtime, reverse=True)
    except OSError:
        return
    for folder in found[KEPT:]:
        shutil.rmtree(folder, ignore_errors=True)

"""Compiled rule sets: a folder with one JSON file per section, and an index with the fingerprint of its input.

Floor 1. The index names the files of each section by their folders: a set keeps only what differs from the set beside it.
A folder is valid only if its index names the same YAML, byte for byte, and a section only if its hash matches the index.
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

    def __init__(self, beside: Path, hashes: Mapping[str, Mapping[str, str]]) -> None:
        """`beside` is the folder of all sets; `hashes` those of the files of each section, by the folder that they are in."""
        self._beside, self._hashes = beside, hashes

    def section(self, name: str) -> object:
        """A section's data: that of the first file, with the entries of the next laid over it; raises `Damaged`."""
        parts = []
        try:
            for folder, wanted in self._hashes[name].items():
                raw = (self._beside / folder / f"{name}.json").read_bytes()
                if hashlib.sha256(raw).hexdigest() != wanted:
                    raise Damaged(name)
                parts.append(json.loads(raw))
            return parts[0] if len(parts) == 1 else {key: value for part in parts for key, value in part.items()}
        except (OSError, ValueError, LookupError, AttributeError, RecursionError):
            raise Damaged(name) from None


def opened(folder: Path, fingerprint: str) -> Compiled | None:
    """The compiled set in a folder, if its fingerprint matches."""
    try:
        index = json.loads((folder / INDEX).read_bytes())
        same = index["fingerprint"] == fingerprint and isinstance(index["sections"], dict)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return Compiled(folder.parent, index["sections"]) if same else None


def write(folder: Path, fingerprint: str, sections: Mapping[str, object], like: Path | None = None) -> bool:
    """Write a compiled set, completely or not at all; False if impossible (a full disk, a checkout of another user).

    What `like`, a set beside it, has too is not written again.
    An existing set is replaced. If two processes write at once, one wins, and both results are equal."""
    staging = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=".", dir=folder.parent))
        staging.chmod(0o755)
        hashes: dict[str, dict[str, str]] = {}
        for name, data in sections.items():
            lower = (like / f"{name}.json").read_bytes() if like else b"null"
            rest = _beyond(json.loads(lower), data)
            hashes[name] = {like.name: hashlib.sha256(lower).hexdigest()} if like and rest is not data else {}
            if rest or not hashes[name]:
                raw = _text(rest).encode()
                (staging / f"{name}.json").write_bytes(raw)
                hashes[name][folder.name] = hashlib.sha256(raw).hexdigest()
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


def _beyond(lower: object, data: object) -> object:
    """The entries that laid over `lower` give `data` in its order; `data` itself where there are none."""
    if isinstance(lower, dict) and isinstance(data, dict) and list(lower) == list(data)[: len(lower)]:
        return {key: value for key, value in data.items() if key not in lower or _text(value) != _text(lower[key])}
    return {} if _text(lower) == _text(data) else data


def _text(data: object) -> str:
    return json.dumps(data, ensure_ascii=False, separators=(",", ":"))

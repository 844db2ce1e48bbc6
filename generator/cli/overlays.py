"""Write the overlay rule sets that commands produce."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from generator.cli.output import tell
from generator.errors import Problem, WriteError


def last_written(path: Path) -> str:
    """The day of a file's last modification, as 2026-11-24, clamped to valid dates."""
    seconds = min(max(path.stat().st_mtime, 0.0), datetime(9999, 12, 31, tzinfo=UTC).timestamp())
    return datetime.fromtimestamp(seconds, UTC).date().isoformat()


def write_overlay(folder: Path, files: Mapping[str, str]) -> None:
    """Write the files of a new rule set into an empty or new folder; raises `WriteError` otherwise."""
    try:
        if folder.is_dir() and any(folder.iterdir()):
            raise WriteError(Problem("not-empty", f"{folder} is not empty; nothing was written"))
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (folder / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise WriteError(Problem("cannot-write", f"{folder}: {error.strerror}")) from None
    tell(f"wrote {', '.join(sorted(files))} into {folder}; use it with --rules {folder}")

"""The command line in this process, with what it prints, and folders watched for changes."""

from __future__ import annotations

import contextlib
import io
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from generator.cli.main import main

CONTRACT = (0, 1, 2, 3, 4, 5)
"""Every exit code there is."""


@dataclass(frozen=True)
class Said:
    """What a command returned and printed."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out, parse_constant=_no_constant)


def _no_constant(word: str) -> Any:
    raise AssertionError(f"{word} is not JSON")


def run(*words: str | Path) -> Said:
    """`gen-deploy WORDS…`; whatever it raises is a bug and comes through."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main([str(word) for word in words])
    return Said(code, out.getvalue(), err.getvalue())


def tree(folder: Path) -> dict[str, tuple[int, bytes | str | None]]:
    """Everything below a folder: mode and content, symlinks by their targets."""
    found: dict[str, tuple[int, bytes | str | None]] = {}
    for root, folders, files in os.walk(folder):
        for name in [*folders, *files]:
            path = Path(root, name)
            mode = path.lstat().st_mode
            content: bytes | str | None = None
            if path.is_symlink():
                content = str(path.readlink())
            elif path.is_file():
                content = path.read_bytes()
            found[str(path.relative_to(folder))] = (mode, content)
    return found

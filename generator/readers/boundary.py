"""File access limits for untrusted checkouts: inside the checkout, symlinks resolved, and never git's own files.

Floor 0; inspects names and links only, reads no file."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

ALLOW = "GEN_DEPLOY_ALLOW_OUTSIDE"
"""The environment variable with additional readable folders, separated as in PATH. Untrusted files cannot set it."""
WAY_OUT = f"{ALLOW}=FOLDER permits another folder"
"""The hint of messages about files outside the limits."""
GIT = (".git", "git~1")
"""The name of git's own folder, and its short name on Windows."""


def readable_from(*folders: Path) -> tuple[str, ...]:
    """These folders with symlinks resolved, and the additional folders permitted by the environment."""
    allowed = [name for name in os.environ.get(ALLOW, "").split(os.pathsep) if name]
    return tuple(os.path.realpath(folder) for folder in (*map(str, folders), *allowed))


def lies_in(path: Path, folders: Iterable[str]) -> bool:
    """Whether a path (symlinks resolved) is inside one of these resolved folders, but not among git's own files."""
    try:
        real = Path(os.path.realpath(path))
    except ValueError:  # a NUL: no such file exists
        return False
    return any(real.is_relative_to(folder) and not any(map(_is_git, real.relative_to(folder).parts)) for folder in folders)


def _is_git(name: str) -> bool:
    """Whether a file system may treat a name as `.git`: some ignore case, trailing blanks and dots, and the part after a colon."""
    return name.casefold().partition(":")[0].rstrip(" .") in GIT


def in_a_repository(path: Path, top: Path) -> bool:
    """Whether a folder between `top` and `path` is a git directory of any name: of a bare repository or a submodule."""
    root, real = Path(os.path.realpath(top)), Path(os.path.realpath(path))
    return any((at / "HEAD").exists() and (at / "objects").exists() for at in (real, *real.parents) if at.is_relative_to(root))


def checkout(folder: Path) -> Path:
    """The root of the repository around a folder; the folder itself if there is none."""
    here = folder.resolve()
    return next((at for at in (here, *here.parents) if (at / ".git").exists()), here)

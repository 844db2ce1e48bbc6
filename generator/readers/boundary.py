"""How far files may be read and written on the word of a stranger: a checkout, symlinks resolved, and never git's own files.

Floor 0; looks at names and links, reads no file.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

ALLOW = "GEN_DEPLOY_ALLOW_OUTSIDE"
"""The environment variable with more folders to read from, separated as in PATH. A stranger's files cannot set it."""
WAY_OUT = f"{ALLOW}=FOLDER allows a folder more"
"""What a message says after `leads out of …`."""
GIT = (".git", "git~1")
"""The name of git's own folder, and the short one that Windows gives it."""


def readable_from(*folders: Path) -> tuple[str, ...]:
    """These folders with their symlinks resolved, and those that the caller allows besides."""
    allowed = [name for name in os.environ.get(ALLOW, "").split(os.pathsep) if name]
    return tuple(os.path.realpath(folder) for folder in (*map(str, folders), *allowed))


def lies_in(path: Path, folders: Iterable[str]) -> bool:
    """Whether a path, symlinks resolved, lies in one of these folders (resolved as well), and not among git's own files there."""
    try:
        real = Path(os.path.realpath(path))
    except ValueError:  # a NUL: there is no such file
        return False
    return any(real.is_relative_to(folder) and not any(map(_is_git, real.relative_to(folder).parts)) for folder in folders)


def _is_git(name: str) -> bool:
    """Whether a file system may take a name for `.git`: on some, case, blanks and dots at the end, and what follows a colon do not count."""
    return name.casefold().partition(":")[0].rstrip(" .") in GIT


def in_a_repository(path: Path, top: Path) -> bool:
    """Whether a folder between `top` and `path` is what git keeps a repository in, whatever its name: a bare one, a submodule's."""
    root, real = Path(os.path.realpath(top)), Path(os.path.realpath(path))
    return any((at / "HEAD").exists() and (at / "objects").exists() for at in (real, *real.parents) if at.is_relative_to(root))


def checkout(folder: Path) -> Path:
    """The root of the repository that a folder lies in; the folder itself where it lies in none."""
    here = folder.resolve()
    return next((at for at in (here, *here.parents) if (at / ".git").exists()), here)

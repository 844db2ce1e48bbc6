"""Locations of `rules/` and `templates/`: inside the package in a wheel, beside it in a checkout. Floor 0.
And the limits of an untrusted checkout: inside it, symlinks resolved, never git's own files."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

from generator.errors import fail

_PACKAGE = Path(__file__).resolve().parents[1]


def folder(name: str) -> Path:
    """The folder `rules`, `templates` or `compiled` of this installation; raises `InputError` in a zip."""
    inside = _PACKAGE / name
    if inside.is_dir():
        return inside
    if not _PACKAGE.is_dir():
        raise fail("in-a-zip", f"gen-deploy reads its rules from folders, but {_PACKAGE} is an archive: pip install it and run the installed command")
    return _PACKAGE.parent / name


@lru_cache(32)
def shipped(name: str) -> Any:
    """The data of a JSON file of `rules/`, whose schema says what is in it; it must not be changed."""
    return json.loads((folder("rules") / name).read_bytes())


def shown(path: Path) -> str:
    """A path for messages and traces: `rules/default/reject.yaml`, independent of the installation."""
    base = folder("rules").parent
    try:
        return path.resolve().relative_to(base).as_posix()
    except ValueError:
        return path.as_posix()


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

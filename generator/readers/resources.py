"""Locations of `rules/` and `templates/`: inside the package in a wheel, beside it in a checkout.

Floor 0.
"""

from __future__ import annotations

import os
from pathlib import Path

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


def shown(path: Path) -> str:
    """A path for messages and traces: `rules/default/reject.yaml`, independent of the installation."""
    base = folder("rules").parent
    try:
        return path.resolve().relative_to(base).as_posix()
    except ValueError:
        return path.as_posix()


def cache_folder() -> Path | None:
    """The user's cache folder for this tool (XDG); it may not exist and may not be writable.

    None for a user without a home, and on systems without file owners (Windows): the cache is trusted by its owner.
    """
    if not hasattr(os, "geteuid"):
        return None
    for root in (os.environ.get("XDG_CACHE_HOME", ""), os.path.expanduser("~/.cache")):  # noqa: PTH111 - Path raises without a home
        if Path(root).is_absolute():  # the standard requires ignoring relative paths
            return Path(root) / "gen-deploy"
    return None

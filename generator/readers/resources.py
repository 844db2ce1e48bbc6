"""Locations of `rules/` and `templates/`: inside the package in a wheel, beside it in a checkout. Floor 0."""

from __future__ import annotations

import json
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

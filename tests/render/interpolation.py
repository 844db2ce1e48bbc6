"""What Compose makes of `$` in the values of a file, for where Compose itself is not."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_DOLLAR = re.compile(r"\$(?:(\$)|\{([A-Z_][A-Z0-9_]*)(?::\?[^}]*)?\}|(.?))", re.DOTALL)


def interpolated(value: Any, env: Mapping[str, str]) -> Any:
    """Data with its `$` expanded, strictly: raises `ValueError` for one that is neither doubled nor a reference of ours."""
    if isinstance(value, dict):
        return {key: interpolated(item, env) for key, item in value.items()}
    if isinstance(value, list):
        return [interpolated(item, env) for item in value]
    if not isinstance(value, str):
        return value

    def one(match: re.Match[str]) -> str:
        if match[1]:
            return "$"
        if match[2] not in env:
            raise ValueError(f"a lone $ in {value!r}")
        return env[match[2]]

    return _DOLLAR.sub(one, value)

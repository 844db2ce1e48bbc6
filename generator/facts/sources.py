"""The source that a fact is shown with. Floor 3, pure."""

from __future__ import annotations


def first_source(source: object) -> str | None:
    """The key of a fact's source; of several the first; None where there is none."""
    if isinstance(source, list):
        return str(source[0]) if source else None
    return None if source is None else str(source)

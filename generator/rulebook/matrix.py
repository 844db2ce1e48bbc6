"""The compatibility matrices: what the facts say of a method or a type of KV cache, by generation, version and shape of the model.

Floor 1, pure. A row is a statement or several, most specific first: the first that holds and says something of the generation counts.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from generator.quantity import version_key

Statement = Mapping[str, Any]
WHEN = ("since", "until", "shape")
"""When a statement holds."""
ABOUT = (*WHEN, "notes", "source", "needs")
"""Keys of a statement that are not hardware."""
EVERY = "all"
FROM = "from "
"""A span of compute capabilities begins so: `from 8.9` is 8.9 and above, up to the next span."""


def statements(row: object) -> list[Statement]:
    """The statements of a row as written: one, or several."""
    return [dict(one) for one in row] if isinstance(row, list) else [row] if isinstance(row, Mapping) else []


def matrix_rows(data: object) -> Iterator[tuple[tuple[str, ...], object]]:
    """The matrix rows of a file of rules, with their paths."""
    if isinstance(data, Mapping):
        yield from ((("support", name), row) for name, row in (data.get("support") or {}).items())
        for engine, rows in (data.get("kv_cache") or {}).items():
            yield from ((("kv_cache", engine, name), row) for name, row in rows.items())


def spans(cell: Mapping[str, str]) -> Iterator[tuple[float, str]]:
    """Where each span begins, and its word."""
    return ((float(key.removeprefix(FROM)), word) for key, word in cell.items())


def word_of(statement: Statement, generation: str, known: Mapping[str, Mapping[str, Any]]) -> str | None:
    """What a statement says of a generation: by its name, else of the one it is `like`, else of its maker, else of `all`; None for nothing."""
    kin = [generation]
    while (nearest := known.get(kin[-1], {}).get("like")) is not None and nearest not in kin:
        kin.append(nearest)
    for one in kin:
        if one in statement:
            return str(statement[one])
    entry: Mapping[str, Any] = {key: value for one in reversed(kin) for key, value in known.get(one, {}).items()}
    cell = statement.get(entry.get("vendor", ""))
    if isinstance(cell, Mapping):
        capability = min(entry.get("compute_capabilities") or (0.0,))
        cell = max(((start, word) for start, word in spans(cell) if start <= capability), default=(0, None))[1]
    return cell if cell is not None else statement.get(EVERY)


def cell_of(
    row: Collection[Statement], generation: str, known: Mapping[str, Mapping[str, Any]], version: str, shapes: Collection[str]
) -> tuple[str, Statement] | None:
    """The word of a row for a generation at an engine's version, for a model of these shapes, and the statement that says it."""
    key = version_key(version)
    for one in row:
        since, until, shape = map(one.get, WHEN)
        if (shape is None or shape in shapes) and (since is None or version_key(since) <= key) and (until is None or key < version_key(until)):
            word = word_of(one, generation, known)
            if word is not None:
                return word, one
    return None

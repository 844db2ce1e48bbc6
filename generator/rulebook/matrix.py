"""The compatibility matrices: what the facts say of a method or a type of KV cache, by generation, version and shape of the model.

Floor 1, pure. A row is a statement or several, most specific first: the first that holds and says something of the generation counts."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from generator.quantity import version_key
from generator.readers.document import KeyPath

Statement = Mapping[str, Any]
WHEN = ("since", "until", "shape")
"""When a statement holds."""
ABOUT = (*WHEN, "notes", "source", "needs")
"""Keys of a statement that are not hardware."""
EVERY = "all"


def matrix_rows(data: object) -> Iterator[tuple[KeyPath, list[tuple[KeyPath, Statement]]]]:
    """The matrix rows of a file of rules with their paths, and their statements with theirs."""
    if isinstance(data, Mapping):
        found: list[tuple[KeyPath, Any]] = [(("support",), data.get("support") or {})]
        found += [(("kv_cache", engine), rows) for engine, rows in (data.get("kv_cache") or {}).items()]
        for above, rows in found:
            for name, row in rows.items():
                path = (*above, name)
                yield path, [((*path, i), one) for i, one in enumerate(row)] if isinstance(row, list) else [(path, row)]


def spans(cell: Mapping[str, str]) -> Iterator[tuple[float, str]]:
    """Where each span of compute capabilities begins, and its word: `from 8.9` is 8.9 and above, up to the next span."""
    return ((float(key.removeprefix("from ")), word) for key, word in cell.items())


def word_of(statement: Statement, generation: str, known: Mapping[str, Mapping[str, Any]]) -> str | None:
    """What a statement says of a generation: by its name, else of the one it is `like`, else of its maker, else of `all`; None for nothing."""
    kin = [generation]
    while (nearest := known.get(kin[-1], {}).get("like")) is not None and nearest not in kin:
        kin.append(nearest)
    entry: Mapping[str, Any] = {key: value for one in reversed(kin) for key, value in known.get(one, {}).items()}
    maker = statement.get(entry.get("vendor", ""))
    if isinstance(maker, Mapping):
        capability = min(entry.get("compute_capabilities") or (0.0,))
        maker = max(((start, word) for start, word in spans(maker) if start <= capability), default=(0, None))[1]
    return next((statement[one] for one in kin if one in statement), statement.get(EVERY) if maker is None else maker)


def cell_of(
    row: Collection[Statement], generation: str, known: Mapping[str, Mapping[str, Any]], version: str, shapes: Collection[str]
) -> tuple[str, Statement] | None:
    """The word of a row for a generation at an engine's version, for a model of these shapes, and the statement that says it."""
    key = version_key(version)
    for one in row:
        since, until, shape = map(one.get, WHEN)
        holds = (shape is None or shape in shapes) and (since is None or version_key(since) <= key) and (until is None or key < version_key(until))
        if holds and (word := word_of(one, generation, known)) is not None:
            return word, one
    return None

"""The effective rules for a reader: every row, or one with its source, cases, decided examples and origin.

Floor 7, pure; the wording is in `templates/rules/`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from generator.errors import did_you_mean, fail, printable
from generator.render.templates import render
from generator.rulebook.overlay import Gathered, digest
from generator.rulebook.renamed import today
from generator.rulebook.rules_check import words_of

PARTS = ("when", "otherwise", "set", "rank", "beyond", "unbeaten", "order")
"""What a row does."""


def row_data(gathered: Gathered, table: str, row: Mapping[str, object]) -> dict[str, object]:
    """One row as plain data, with its digest and its history."""
    data = {"table": table, **{key: row[key] for key in ("id", *PARTS, "because", "source", "evidence", "at") if key in row}}
    return {**data, "digest": digest(row), "origin": origin(gathered, table, str(row["id"]))}


def entry_data(gathered: Gathered, section: str, name: str) -> dict[str, object]:
    """One threshold or fact as plain data, with its digest and its history."""
    entry = gathered.merged[section][name]
    readers = [f"{table}/{row['id']}" for table, row in gathered.rows() if name in words_of(row)]
    read = {"read_by": readers} if section in ("thresholds", "names") else {}
    own = {"at": str(gathered.place(section, name)), "digest": digest(entry), "origin": origin(gathered, section, name)}
    return {"section": section, "id": name, **entry, **read, **own}


def origin(gathered: Gathered, section: str, name: str) -> list[dict[str, object]]:
    """Each layer's change of a row or entry, lowest layer first."""
    return [
        {"layer": step.layer, "action": step.action, "at": str(step.place), **({"replaced": step.below} if step.below else {})}
        for step in gathered.steps[section, name]
    ]


def named(gathered: Gathered, word: str) -> list[dict[str, Any]]:
    """The rows, thresholds, sources and facts with a name (`id` or `table/id`); raises `InputError` if there is none."""
    known = [*(row["id"] for _, row in gathered.rows()), *gathered.merged["thresholds"]]
    table, _, rest = word.rpartition("/")
    if table in gathered.merged["tables"]:
        rest = today(rest, known)
    else:
        word = today(word, known)
    found = [row_data(gathered, name, row) for name, row in gathered.rows() if row["id"] == (rest if table == name else word)]
    sections = ("thresholds", "sources", "gpus", "models", "methods", "engines", "names", "settings")
    found += [entry_data(gathered, section, word) for section in sections if word in gathered.merged[section]]
    if not found:
        off = [(key, steps[-1].place) for key, steps in gathered.steps.items() if key[1] == word and steps[-1].action == "off"]
        gone = [f"{section} {name} is switched off at {place}" for (section, name), place in off]
        raise fail("unknown-row", "; ".join(gone) or f"no row or threshold is named {word!r}{did_you_mean(word, known)}")
    return found


def changes(gathered: Gathered) -> list[dict[str, object]]:
    """The changes that the topmost layer makes to the layers below."""
    own = gathered.own
    return [
        {"section": section, "id": name, "action": steps[-1].action, "at": str(steps[-1].place), "below": str(steps[-2].place) if len(steps) > 1 else None}
        for (section, name), steps in gathered.steps.items()
        if steps[-1].place.path in own
    ]


def whole(gathered: Gathered, with_origin: bool) -> str:
    """Every row of the effective set, table by table, optionally with origins."""
    steps, tables = gathered.steps, gathered.merged["tables"]

    def history(section: str, name: str) -> list[dict[str, object]]:
        return origin(gathered, section, name) if with_origin else []

    return printable(render(
        "rules/set.j2", merged=gathered.merged, layers=[name for name, _ in gathered.layers], with_origin=with_origin, does=_does, history_of=history,
        facts=[key for key, found in steps.items() if len(found) > 1 and key[0] not in (*tables, "thresholds")],
        off=[key for key, found in steps.items() if found[-1].action == "off"], place_of=gathered.place,
    )).rstrip("\n")  # fmt: skip


def _does(row: Mapping[str, object]) -> str:
    return "; ".join(f"{key} {flow(row[key])}" for key in PARTS if key != "otherwise" and row.get(key)) or "always"


def flow(value: object) -> str:
    """A value on one line, as the rules write it."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {flow(part)}" for key, part in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(flow(part) for part in value) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def one(gathered: Gathered, data: Mapping[str, Any], with_origin: bool, cases: Sequence[str] | None, examples: Sequence[str]) -> str:
    """One row, threshold or fact as text."""
    hidden = ("table", "section", "id", "source", "at", "digest", "origin", "replaces", "config")
    named = data.get("source") or []
    return printable(render(
        "rules/one.j2", section=data.get("table") or data["section"], id=data["id"], digest=data["digest"], at=data["at"],
        values={key: flow(value) for key, value in data.items() if key not in hidden},
        sources=[{"name": name, **gathered.merged["sources"].get(name, {})} for name in ([named] if isinstance(named, str) else named)],
        origin=data["origin"] if with_origin else [], cases=cases, examples=examples,
    )).rstrip("\n")  # fmt: skip

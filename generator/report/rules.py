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
SHOWN = ("table", "id", "when", "otherwise", "set", "rank", "beyond", "unbeaten", "order", "because", "source", "at", "digest")


def row_data(gathered: Gathered, table: str, row: Mapping[str, object]) -> dict[str, object]:
    """One row as plain data, with its digest and its history."""
    data = {"table": table, **{key: row[key] for key in ("id", *PARTS, "because", "source", "evidence", "at") if key in row}}
    return {**data, "digest": digest(row), "origin": origin(gathered, table, str(row["id"]))}


def entry_data(gathered: Gathered, section: str, name: str) -> dict[str, object]:
    """One threshold or fact as plain data, with its digest and its history."""
    entry = gathered.merged[section][name]
    place = str(gathered.place(section, name))
    readers = {"read_by": _readers(gathered, name)} if section in ("thresholds", "names") else {}
    own = {"at": place, "digest": digest(entry), "origin": origin(gathered, section, name)}
    return {"section": section, "id": name, **entry, **readers, **own}


def _readers(gathered: Gathered, name: str) -> list[str]:
    """Rows that name a threshold or a name, as table/row."""
    return [f"{table}/{row['id']}" for table, one in gathered.merged["tables"].items() for row in one["rows"] if name in words_of(row)]


def origin(gathered: Gathered, section: str, name: str) -> list[dict[str, object]]:
    """Each layer's change of a row or entry, lowest layer first."""
    return [
        {"layer": step.layer, "action": step.action, "at": str(step.place), **({"replaced": step.below} if step.below else {})}
        for step in gathered.steps[section, name]
    ]


def named(gathered: Gathered, word: str) -> list[dict[str, Any]]:
    """The rows, thresholds, sources and facts with a name (`id` or `table/id`); raises `InputError` if there is none."""
    known = [row["id"] for one in gathered.merged["tables"].values() for row in one["rows"]] + list(gathered.merged["thresholds"])
    table, _, rest = word.rpartition("/")
    if table in gathered.merged["tables"]:
        rest = today(rest, known)
    else:
        word = today(word, known)
    found = [
        row_data(gathered, name, row)
        for name, one in gathered.merged["tables"].items()
        for row in one["rows"]
        if row["id"] == (rest if table == name else word)
    ]
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
    merged = gathered.merged
    tables = [
        {"name": name, "hit": one["hit"], "asks": one.get("asks", ""),
         "rows": [{"id": row["id"], "does": _does(row), "history": _history(gathered, name, row["id"]) if with_origin else []} for row in one["rows"]]}
        for name, one in merged["tables"].items()
    ]  # fmt: skip
    steps = [{"section": section, "id": name, "history": _history(gathered, section, name)} for section, name in gathered.steps] if with_origin else []
    facts = [one for one in steps if len(one["history"]) > 1 and one["section"] not in (*merged["tables"], "thresholds")]
    off = [{"section": section, "id": name, "place": steps[-1].place} for (section, name), steps in gathered.steps.items() if steps[-1].action == "off"]
    thresholds = [{"id": name, "value": _number(one), "history": _history(gathered, "thresholds", name)} for name, one in merged["thresholds"].items()]
    return printable(render(
        "rules/set.j2", name=merged["ruleset"].get("name", ""), digest=merged["ruleset"]["digest"], layers=[name for name, _ in gathered.layers],
        tables=tables, with_origin=with_origin, thresholds=thresholds, facts=facts, off=off,
    )).rstrip("\n")  # fmt: skip


def _number(threshold: Mapping[str, Any]) -> str:
    value = threshold["value"] if "value" in threshold else f"{len(threshold['by_version'])} values by version"
    return f"{value} {threshold.get('unit', '')}".rstrip()


def _history(gathered: Gathered, section: str, name: str) -> list[str]:
    return [
        f"{step.action} by {step.layer} at {step.place}{f' (replaced digest: {step.below})' if step.below and step.action == 'replaced' else ''}"
        for step in gathered.steps[section, name]
    ]


def _does(row: Mapping[str, object]) -> str:
    parts = [f"when {flow(row['when'])}"] if row.get("when") else []
    parts += [f"{key} {flow(row[key])}" for key in ("set", "rank", "beyond", "unbeaten", "order") if key in row]
    return "; ".join(parts) or "always"


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
    section = data.get("table") or data["section"]
    hidden = ("table", "section", "id", "source", "at", "digest", "origin", "replaces", "config")
    named = data.get("source")
    sources = [(name, gathered.merged["sources"].get(name, {})) for name in ([named] if isinstance(named, str) else named or [])]
    return printable(render(
        "rules/one.j2", section=section, id=data["id"], digest=data["digest"], at=data["at"],
        values=[[key, flow(value)] for key, value in data.items() if key not in hidden],
        sources=[["source", f"{name}: {entry.get('title', '')}{_where(entry)} (read {entry.get('read', '?')})"] for name, entry in sources],
        history=[["origin", line] for line in (_history(gathered, section, data["id"]) if with_origin else [])],
        found=[] if cases is None else [["cases", ", ".join(cases) or "none"], ["examples", ", ".join(examples) or "none"]],
    )).rstrip("\n")  # fmt: skip


def _where(source: Mapping[str, object]) -> str:
    where = source.get("url", source.get("where", ""))
    return f"; {where}" if where else ""

"""The effective rules for a reader: every row, or one with its source, cases, decided examples and origin.

Floor 7, pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from generator.errors import did_you_mean, fail, printable
from generator.rulebook.overlay import Gathered, digest
from generator.rulebook.table import names_read

if TYPE_CHECKING:  # every start would pay for building the types
    from generator.rulebook.sections import Row

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
    return [f"{table}/{row['id']}" for table, one in gathered.merged["tables"].items() for row in one["rows"] if name in _words(row)]


def _words(row: Row) -> set[object]:
    """All names in a row: cells and bounds, the name it ranks or orders by, and the values it sets."""
    when = row.get("when") or {}
    bounds = {bound for cell in when.values() if isinstance(cell, dict) for bound in cell.values() if isinstance(bound, str)}
    return {*names_read(row), *bounds, *(row.get("set") or {}).values()}


def origin(gathered: Gathered, section: str, name: str) -> list[dict[str, object]]:
    """Each layer's change of a row or entry, lowest layer first."""
    return [
        {"layer": step.layer, "action": step.action, "at": str(step.place), **({"replaced": step.below} if step.below else {})}
        for step in gathered.steps[section, name]
    ]


def named(gathered: Gathered, word: str) -> list[dict[str, Any]]:
    """The rows, thresholds, sources and facts with a name (`id` or `table/id`); raises `InputError` if there is none."""
    table, _, rest = word.rpartition("/")
    found = [
        row_data(gathered, name, row)
        for name, one in gathered.merged["tables"].items()
        for row in one["rows"]
        if row["id"] == (rest if table == name else word)
    ]
    sections = ("thresholds", "sources", "gpus", "models", "methods", "engines", "names", "settings")
    found += [entry_data(gathered, section, word) for section in sections if word in gathered.merged[section]]
    if not found:
        known = [row["id"] for one in gathered.merged["tables"].values() for row in one["rows"]] + list(gathered.merged["thresholds"])
        off = [(key, steps[-1].place) for key, steps in gathered.steps.items() if key[1] == word and steps[-1].action == "off"]
        gone = [f"{section} {name} is switched off at {place}" for (section, name), place in off]
        raise fail("unknown-row", "; ".join(gone) or f"no row or threshold is named {word!r}{did_you_mean(word, known)}")
    return found


def changes(gathered: Gathered) -> list[dict[str, object]]:
    """The changes that the topmost layer makes to the layers below."""
    own = gathered.own
    return [
        {
            "section": section,
            "id": name,
            "action": steps[-1].action,
            "at": str(steps[-1].place),
            "below": str(steps[-2].place) if len(steps) > 1 else None,
        }
        for (section, name), steps in gathered.steps.items()
        if steps[-1].place.path in own
    ]


def whole(gathered: Gathered, with_origin: bool) -> str:
    """Every row of the effective set, table by table, optionally with origins."""
    return printable("\n".join(_whole(gathered, with_origin)))


def _whole(gathered: Gathered, with_origin: bool) -> Iterator[str]:
    merged = gathered.merged
    yield f"{merged['ruleset'].get('name', '')} {merged['ruleset']['digest']}: {' > '.join(name for name, _ in gathered.layers)}"
    for table, one in merged["tables"].items():
        yield ""
        yield f"{table} ({one['hit']}): {one.get('asks', '')}"
        for row in one["rows"]:
            yield f"  {row['id']}: {_does(row)}"
            if with_origin:
                yield from (f"      {line}" for line in _history(gathered, table, row["id"]))
    if with_origin:
        yield from _rest(gathered)


def _rest(gathered: Gathered) -> Iterator[str]:
    """Thresholds; then the facts changed by the topmost layer, and the entries switched off."""
    yield from ("", "thresholds")
    for name, entry in gathered.merged["thresholds"].items():
        value = entry["value"] if "value" in entry else f"{len(entry['by_version'])} values by version"
        yield f"  {name}: {value} {entry.get('unit', '')}".rstrip()
        yield from (f"      {line}" for line in _history(gathered, "thresholds", name))
    tables = gathered.merged["tables"]
    facts = [key for key, steps in gathered.steps.items() if key[0] not in (*tables, "thresholds") and len(steps) > 1]
    if facts:
        yield from ("", "facts changed by a layer")
        for section, name in facts:
            yield f"  {section} {name}"
            yield from (f"      {line}" for line in _history(gathered, section, name))
    gone = [key for key, steps in gathered.steps.items() if steps[-1].action == "off"]
    if gone:
        yield from ("", "switched off")
        for section, name in gone:
            yield f"  {section} {name}: {gathered.steps[section, name][-1].place}"


def _history(gathered: Gathered, section: str, name: str) -> Iterator[str]:
    for step in gathered.steps[section, name]:
        replaced = f" (replaced digest: {step.below})" if step.below and step.action == "replaced" else ""
        yield f"{step.action} by {step.layer} at {step.place}{replaced}"


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


def one(gathered: Gathered, data: Mapping[str, object], with_origin: bool, cases: Sequence[str] | None, examples: Sequence[str]) -> str:
    """One row, threshold or fact as text."""
    return printable("\n".join(_one(gathered, data, with_origin, cases, examples)))


def _one(
    gathered: Gathered, data: Mapping[str, Any], with_origin: bool, cases: Sequence[str] | None, examples: Sequence[str]
) -> Iterator[str]:
    section = data.get("table") or data["section"]
    yield f"{section}/{data['id']}"
    for key, value in data.items():
        if key not in ("table", "section", "id", "source", "at", "digest", "origin", "replaces", "config"):
            yield f"  {key:8} {flow(value)}"
    sources = data.get("source")
    for name in [sources] if isinstance(sources, str) else sources or []:
        entry = gathered.merged["sources"].get(name, {})
        where = entry.get("url", entry.get("where", ""))
        yield f"  {'source':8} {name}: {entry.get('title', '')}{f'; {where}' if where else ''} (read {entry.get('read', '?')})"
    yield f"  {'digest':8} {data['digest']}"
    yield f"  {'at':8} {data['at']}"
    if with_origin:
        yield from (f"  {'origin':8} {line}" for line in _history(gathered, section, data["id"]))
    if cases is not None:
        yield f"  {'cases':8} {', '.join(cases) or 'none'}"
        yield f"  {'examples':8} {', '.join(examples) or 'none'}"

"""The edits between two rule sets, rule sets with single edits applied, and how much of a corpus a changed row is about.

Floor 7, pure. Comments, the order of collected rows and positions do not count as edits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeGuard

from generator.compare.model import Coverage, Edit, Move
from generator.quantity import grouped
from generator.rulebook.book import SECTIONS, RuleBook
from generator.rulebook.rules_check import words_of
from generator.rulebook.table import LABELS, SPEC, Facts, Row, Test, bounds_of

Data = Mapping[str, Any]

WORDS = {"because", "source", "evidence", "checked", "meaning", "note", "title", "at", "index", "asks", "origin", "replaces"}
"""Keys for reason and source: they change no decision."""
PLACES = ("at", "index")
SOURCELESS = ("sources",)
MISSING = object()


def edits(old: RuleBook, new: RuleBook) -> list[Edit]:
    """Every edit from one rule set to another: thresholds first, then rows, then facts."""
    before, after = old.section("policy"), new.section("policy")
    found = list(_entries("thresholds", before["thresholds"], after["thresholds"]))
    for table in dict.fromkeys([*before["tables"], *after["tables"]]):
        found += _rows(table, before["tables"].get(table) or {"rows": []}, after["tables"].get(table) or {"rows": []})
    for section in ("names", "settings", "ruleset"):
        one, other = before[section], after[section]
        if section == "ruleset":
            one, other = ({"ruleset": {k: v for k, v in x.items() if k not in ("digest", "name", "extends")}} for x in (one, other))
        found += _entries(section, one, other)
    for section in SECTIONS:
        if section not in ("policy", "sources"):
            found += _entries(section, _by_name(old.section(section)), _by_name(new.section(section)))
    found += _entries("sources", old.section("sources"), new.section("sources"))
    return found


def _by_name(data: object) -> Data:
    """A section as entries by name; rows of published quality by method."""
    if isinstance(data, Mapping):
        return data
    rows = grouped(data if isinstance(data, list) else (), lambda row: str(row.get("method")))
    return {str(same[0].get("method")): same for same in rows}


def _entries(section: str, before: Data, after: Data) -> Iterator[Edit]:
    for name in dict.fromkeys([*before, *after]):
        yield from _edit(section, name, before.get(name, MISSING), after.get(name, MISSING))


def _edit(section: str, name: str, one: object, other: object) -> Iterator[Edit]:
    if one == other:
        return
    action = "added" if one is MISSING else "removed" if other is MISSING else "changed"
    fields = tuple(_leaves("", None if one is MISSING else one, None if other is MISSING else other))
    if not fields:
        return
    entry = one if other is MISSING else other
    entry = entry if isinstance(entry, Mapping) else {}
    decisive = section not in SOURCELESS and (action != "changed" or any(f.key.split(".")[-1] not in WORDS for f in fields))
    source = entry.get("source")
    yield Edit(
        section, name, action, fields, decisive, str(entry.get("at") or ""),
        _source(source), str(entry["checked"]) if "checked" in entry else None, entry.get("unit"),
    )  # fmt: skip


def _source(source: object) -> str | None:
    if isinstance(source, list):
        more = f" and {len(source) - 2} more" if len(source) > 2 else ""
        return ", ".join(map(str, source[:2])) + more
    return None if source is None else str(source)


def _leaves(path: str, one: object, other: object) -> Iterator[Move]:
    if one == other:
        return
    if (isinstance(one, Mapping) or one is None) and (isinstance(other, Mapping) or other is None) and (one or other):
        for key in dict.fromkeys([*(one or {}), *(other or {})]):
            if key not in PLACES:
                yield from _leaves(f"{path}.{key}" if path else str(key), (one or {}).get(key), (other or {}).get(key))
        return
    if _named(one) and _named(other):
        before, after = _keyed(one), _keyed(other)
        for key in dict.fromkeys([*before, *after]):
            yield from _leaves(f"{path}[{key}]", before.get(key), after.get(key))
        return
    yield Move(path, one, other)


def _named(value: object) -> TypeGuard[list[Data]]:
    return isinstance(value, list) and bool(value) and all(isinstance(row, Mapping) for row in value)


def _keyed(rows: Sequence[Data]) -> dict[str, Data]:
    return {str(row.get("since", i)): row for i, row in enumerate(rows)}


def _rows(table: str, before: Data, after: Data) -> Iterator[Edit]:
    section = f"tables/{table}"
    one, other = ({row["id"]: {key: value for key, value in row.items() if key != "index"} for row in rows["rows"]} for rows in (before, after))
    yield from _entries(section, one, other)
    if table == "prefer":
        yield from _moved(section, [k for k in one if k in other], [k for k in other if k in one], other)


def _moved(section: str, before: Sequence[str], after: Sequence[str], rows: Data) -> Iterator[Edit]:
    """Rows with a changed order: the smallest set that must move."""
    if before == after:
        return
    stay = set(_longest(before, after))
    for name in after:
        if name not in stay:
            move = Move("place", before.index(name) + 1, after.index(name) + 1)
            yield Edit(section, name, "moved", (move,), True, str(rows[name].get("at") or ""), rows[name].get("source"))


def _longest(one: Sequence[str], other: Sequence[str]) -> list[str]:
    place = {name: i for i, name in enumerate(other)}
    best: list[list[str]] = []
    for name in one:
        before = max((run for run in best if place[run[-1]] < place[name]), key=len, default=[])
        best.append([*before, name])
    return max(best, key=len, default=[])


def laid_over(base: RuleBook, other: RuleBook, chosen: Iterable[Edit]) -> RuleBook:
    """The rule set `base` with the chosen edits taken from `other`."""
    sections: dict[str, Any] = {name: base.section(name) for name in SECTIONS}
    policy = dict(sections["policy"])
    source: Data = other.section("policy")
    for edit in chosen:
        if edit.section.startswith("tables/"):
            table = edit.section.removeprefix("tables/")
            tables = dict(policy["tables"])
            theirs = source["tables"].get(table) or {**tables[table], "rows": []}
            mine = tables.get(table) or {**theirs, "rows": []}
            tables[table] = {**mine, "rows": _with_row(mine["rows"], theirs["rows"], edit.name)}
            policy["tables"] = tables
        elif edit.section in ("thresholds", "names", "settings"):
            policy[edit.section] = _with_entry(policy[edit.section], source[edit.section], edit.name)
        elif edit.section == "ruleset":
            policy["ruleset"] = {**source["ruleset"], "name": policy["ruleset"]["name"]}
        else:
            mine, theirs = _by_name(sections[edit.section]), _by_name(other.section(edit.section))
            laid: Data = _with_entry(mine, theirs, edit.name)
            sections[edit.section] = laid if mine is sections[edit.section] else [row for rows in laid.values() for row in rows]
    sections["policy"] = _completed(policy, source, base.section("policy"))
    return RuleBook(sections)


def _completed(policy: Data, *others: Data) -> dict[str, object]:
    """Rules completed with each name, threshold and setting that their rows read: added with a row, kept while a row reads it."""
    words = {word for table in policy["tables"].values() for row in table["rows"] for word in words_of(row)}
    found = dict(policy)
    for section in ("names", "thresholds", "settings"):
        for other in others:
            lacking = {word: other[section][word] for word in words if word in other[section] and word not in found[section]}
            found[section] = {**found[section], **lacking} if lacking else found[section]
    return found


def _with_entry(mine: Data, theirs: Data, name: str) -> dict[str, object]:
    kept = {key: value for key, value in mine.items() if key != name or name in theirs}
    return {**kept, name: theirs[name]} if name in theirs else kept


def _with_row(mine: Sequence[Data], theirs: Sequence[Data], name: str) -> list[Data]:
    rows = [row for row in mine if row["id"] != name]
    ids = [row["id"] for row in theirs]
    if name not in ids:
        return rows
    at = ids.index(name)
    before = set(ids[:at])
    place = max((i + 1 for i, row in enumerate(rows) if row["id"] in before), default=0)
    return [*rows[:place], theirs[at], *rows[place:]]


class Probe(NamedTuple):
    """The cells of a changed row that only read the spec, as they are now, each with its tests before and after the change."""

    edit: str
    cells: Mapping[str, object]
    tests: Mapping[str, list[Test]]


def probes(edits: Iterable[Edit], old: RuleBook, new: RuleBook) -> list[Probe]:
    """A probe for each changed row (or threshold that a single row reads) that asks something of a spec."""
    found = []
    for edit in edits:
        rows = [(row, book) for book in (new, old) for row in _rows_of(edit, book)] if edit.decisive else []
        tests: dict[str, list[Test]] = {}
        for row, book in rows:
            for name, test in row.tests:
                if book.stages[name] == SPEC:
                    tests.setdefault(name, []).append(test)
        if tests and len({row.id for row, _ in rows}) == 1:
            cells = {name: cell for row, _ in reversed(rows) for name, cell in row.when.items() if name in tests}
            found.append(Probe(edit.id, cells, tests))
    return found


def _rows_of(edit: Edit, book: RuleBook) -> Iterator[Row]:
    """The row of an edit, or the rows with a cell that reads its threshold."""
    for name, table in book.tables.items():
        for row in table.rows:
            if (edit.section == f"tables/{name}" and row.id == edit.name) or (edit.section == "thresholds" and edit.name in bounds_of(row)):
                yield row


def coverage(found: Iterable[Probe], specs: Mapping[str, Facts]) -> tuple[Coverage, ...]:
    """The coverage of each probe over the specs, each with the names that it gives the rules."""
    covered = []
    for probe in found:
        rows = {spec: {name: _matches(name, tests, facts.get(name)) for name, tests in probe.tests.items()} for spec, facts in specs.items()}
        unset = [name for name in probe.cells if all(row[name] is None for row in rows.values())]
        cells = tuple((name, cell) for name, cell in probe.cells.items() if name not in unset)
        covered.append(Coverage(probe.edit, cells, tuple(spec for spec, row in rows.items() if all(row[name] for name, _ in cells)), tuple(unset)))
    return tuple(covered)


def _matches(name: str, tests: Iterable[Test], fact: object) -> bool | None:
    """Whether a spec matches a cell; None for a label that it does not have."""
    return None if fact is None and name.startswith(LABELS) else any(test(fact) for test in tests)

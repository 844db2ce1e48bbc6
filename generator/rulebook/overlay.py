"""Layers of rules: what each layer adds, replaces, changes or switches off, with places.

Floor 1. The schemas have checked the form of each file before. Rows and thresholds are replaced whole, facts field by field.
Replaced entries are identified by digest, so that lint can report an upgrade that changes them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from operator import or_
from typing import TYPE_CHECKING, Any, NamedTuple

from generator.errors import Place, Problem, did_you_mean
from generator.readers.document import Document, KeyPath
from generator.rulebook.renamed import all_renamed, covered, renamed
from generator.rulebook.table import LABELS

if TYPE_CHECKING:  # every start would pay for building the types
    from generator.rulebook.sections import Row

MERGED = (
    "gpus", "gpu_names", "architectures", "models", "methods", "sources", "thresholds", "names", "settings", "ggml_types", "quantizers", "transforms",
    "training_jobs", "gates", "families", "registry", "publishers", "hubs", "platforms",
)  # fmt: skip
"""Sections that map names to entries; a later layer replaces single fields of facts, and whole thresholds."""
FIELDWISE = ("gpus", "architectures", "models", "methods", "engines", "quantizers", "transforms", "training_jobs", "families", "registry", "hubs", "platforms")
ITS_OWN = ("title", "measured", "source", "like")
"""What an architecture does not take over from the one that it is `like`."""
SWITCHABLE = ("gpus", "models", "methods", "engines", "thresholds")
"""Sections that `off` can name besides rows."""

Data = dict[str, Any]
"""A mapping in a file of rules: what it holds is checked against a schema before, but differs by section."""
Key = tuple[str, str]


class Step(NamedTuple):
    """One layer's action on a row or entry.

    `action` is added, replaced, changed (fields laid over) or off; `below` the digest of the previous entry, `claimed`
    the digest in the replacement's `replaces`."""

    layer: str
    action: str
    place: Place
    below: str | None = None
    claimed: str | None = None


@dataclass(slots=True)
class Gathered:
    """The merged content of a rule set's files, with each file and the history of each row and entry.

    `steps` is keyed by table and row id (`("reject", "out-of-memory")`) or section and name."""

    merged: Data
    documents: dict[str, Document] = field(default_factory=dict)
    steps: dict[Key, list[Step]] = field(default_factory=dict)
    layers: list[tuple[str, list[str]]] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    @property
    def own(self) -> set[str]:
        """The files of the topmost layer, as messages name them."""
        return set(self.layers[-1][1])

    @property
    def top(self) -> Place:
        """The place of the rule set's own `ruleset.yaml`."""
        own = self.layers[-1][1]
        return Place(next((file for file in own if file.endswith("ruleset.yaml")), own[0]))

    def place(self, section: str, name: str) -> Place:
        """The current place of an entry: its last addition, replacement or change."""
        return self.steps[section, name][-1].place

    def own_rows(self) -> Iterator[tuple[str, Row, Place]]:
        """The rows of the topmost layer, each with its table and its place."""
        own = self.own
        return ((table, row, place) for table, row in self.rows() if (place := self.in_row(row)).path in own)

    def rows(self) -> Iterator[tuple[str, Row]]:
        """All rows, each with its table."""
        return ((name, row) for name, table in self.merged["tables"].items() for row in table["rows"])

    def in_row(self, row: Data | Row, *path: str | int, key: bool = False) -> Place:
        """The place of a part of a row."""
        return self.documents[row["at"].rpartition(":")[0]].place(("rows", row["index"], *path), key)


def empty() -> Data:
    """An empty merged rule set."""
    merged: Data = {section: {} for section in MERGED}
    return merged | {"tables": {}, "engines": {}, "flags": {}, "support": {}, "kv_cache": {}, "quality": [], "ruleset": {}, "off": {}}


def digest(entry: Mapping[str, object]) -> str:
    """A short hash of a row or entry, without its place and `replaces`."""
    text = json.dumps(bare(entry), sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def bare(value: Any) -> Any:
    """Data without keys that are irrelevant for decisions."""
    if isinstance(value, dict):
        return {k: bare(v) for k, v in value.items() if k not in ("at", "index", "replaces", "before")}
    return [bare(v) for v in value] if isinstance(value, list) else value


def lay_over(gathered: Gathered, layer: str, document: Document, shipped: bool) -> None:
    """Apply one file on top of the lower layers; `shipped` files may add names and engines that the code supports."""
    data, merged = document.data, gathered.merged
    if "table" in data:
        gathered.problems += _table(gathered, layer, document)
        return
    for key, value in data.items():
        if key in MERGED:
            gathered.problems += _entries(gathered, layer, document, key, shipped)
        elif key == "engine":
            gathered.problems += _engine(gathered, layer, document, shipped)
        elif key == "kv_cache":
            merged[key] |= {engine: _rows(merged[key].get(engine, {}), rows) for engine, rows in value.items()}
        elif key == "quality":
            merged[key] = [*merged[key], *value] if shipped else [*value, *merged[key]]  # the first row for a model size wins
        elif key == "dtypes":
            merged["kv_cache"]["dtypes"] = merged["kv_cache"].get("dtypes", {}) | value
        elif key == "ruleset":
            merged["ruleset"] |= {name: part for name, part in value.items() if name != "extends"}
        elif key == "off":
            gathered.problems += _off(gathered, layer, document)


def fill_in(merged: Data) -> None:
    """Give each architecture that is `like` another the facts that are not said of it; the matrices follow `like` themselves."""
    known: Data = merged["architectures"]
    for name in known:
        kin = [name]
        while (nearest := known[kin[-1]].get("like")) in known and nearest not in kin:
            kin.append(nearest)
            known[name] = {**{key: value for key, value in known[nearest].items() if key not in ITS_OWN}, **known[name]}


def _put(gathered: Gathered, layer: str, key: Key, old: object, entry: object, place: Place, laid: bool) -> Iterator[Problem]:
    """Record a layer's action on an entry; a duplicate within one layer is an error."""
    steps = gathered.steps.setdefault(key, [])
    if steps and steps[-1].layer == layer and steps[-1].action != "off":
        yield Problem("duplicate-entry", f"{key[1]!r} is already defined at {steps[-1].place}", place)
    claimed = entry.get("replaces") if isinstance(entry, dict) else None
    if claimed is not None and old is None:
        yield Problem("nothing-replaced", f"{key[1]!r} replaces nothing: no lower layer defines it", place)
    action = "added" if old is None else "changed" if laid else "replaced"
    steps.append(Step(layer, action, place, digest(old) if isinstance(old, dict) and old else None, claimed))


def _entries(gathered: Gathered, layer: str, document: Document, section: str, shipped: bool) -> Iterator[Problem]:
    target = gathered.merged[section]
    for name, entry in document.data[section].items():
        place = document.place((section, name), key=True)
        name = renamed(section, name, target, place) if section == "thresholds" else name
        old = target.get(name)
        if old is None and section in ("names", "settings") and not shipped and not (section == "names" and name.startswith(LABELS)):
            what = "name" if section == "names" else "setting"
            yield Problem(f"new-{what}", f"{name!r} is new, but a {what} needs code that supports it{did_you_mean(name, target)}", place)
            continue
        laid = section in FIELDWISE and isinstance(old, dict) and isinstance(entry, dict)
        yield from _put(gathered, layer, (section, name), old, entry, place, laid)
        if laid:
            entry = old | entry
        if section == "thresholds" and isinstance(entry, dict):
            entry = {**entry, "at": f"{place.path}:{place.line}"}
        target[name] = entry


def _engine(gathered: Gathered, layer: str, document: Document, shipped: bool) -> Iterator[Problem]:
    data = document.data
    name = data["engine"]
    place = document.place(("engine",))
    for part, section in (("support", "support"), ("options", "flags")):
        if part in data:
            old = gathered.merged[section].get(name)
            below = {} if old is None else old[part]
            gathered.merged[section][name] = {**(old or {}), **data, part: (_rows if part == "support" else or_)(below, data[part])}
            yield from _put(gathered, layer, (section, name), old, data, place, old is not None)
            return
    engines = gathered.merged["engines"]
    old = engines.get(name)
    if old is None and not shipped:
        yield Problem("new-engine", f"{name!r} is new, but an engine needs a memory formula in code{did_you_mean(str(name), engines)}", place)
        return
    yield from _put(gathered, layer, ("engines", name), old, data, place, old is not None)
    if old is not None:
        data = {**old, **data} | {part: {**old.get(part, {}), **data[part]} for part in ("flags", "versions", "container") if part in data}
    engines[name] = data


def _rows(old: Data, new: Data) -> Data:
    """Matrix rows as statements, those of the upper layer first: what it does not say is as below."""
    return old | {name: [*(row if isinstance(row, list) else [row]), *old.get(name, ())] for name, row in new.items()}


def _table(gathered: Gathered, layer: str, document: Document) -> Iterator[Problem]:
    data, tables = document.data, gathered.merged["tables"]
    name = data["table"]
    table = tables.setdefault(name, {"hit": data.get("hit", "collect"), "asks": "", "rows": [], "at": str(document.place(("table",)))})
    table |= {key: data[key] for key in ("hit", "asks") if key in data}
    rows: list[Data] = table["rows"]
    yield from _switched_off(gathered, layer, document, name, ("off",), data.get("off") or ())
    at = {row["id"]: i for i, row in enumerate(rows)}
    for i, row in enumerate(data.get("rows") or []):
        place = document.place(("rows", i))
        row = {**row, "at": f"{place.path}:{place.line}", "index": i}
        row |= {key: all_renamed("thresholds", row[key], gathered.merged["thresholds"], place) for key in ("when", "set") if key in row}
        row |= {key: all_renamed("rows", row[key], at, place) for key in ("id", "before") if key in row}
        same = at.get(row["id"])
        yield from _put(gathered, layer, (name, row["id"]), None if same is None else rows[same], row, place, laid=False)
        if "before" in row and row["before"] not in at:
            message = f"`before` names an unknown row {row['before']!r}{did_you_mean(str(row['before']), list(at))}"
            yield Problem("unknown-row", message, document.place(("rows", i, "before")))
        if same is not None:
            rows[same] = row
        elif row.get("before") in at:
            rows.insert(at[row["before"]], row)
            at = {one["id"]: n for n, one in enumerate(rows)}
        else:
            at[row["id"]] = len(rows)
            rows.append(row)


def _off(gathered: Gathered, layer: str, document: Document) -> Iterator[Problem]:
    for section, gone in document.data["off"].items():
        if section in SWITCHABLE or section in gathered.merged["tables"]:
            yield from _switched_off(gathered, layer, document, section, ("off", section), gone)
        else:
            words, place = (*SWITCHABLE, *gathered.merged["tables"]), document.place(("off", section), key=True)
            yield Problem("unknown-key", f"{section!r} cannot be switched off{did_you_mean(section, words)}", place)


def _switched_off(gathered: Gathered, layer: str, document: Document, section: str, path: KeyPath, names: Iterable[str]) -> Iterator[Problem]:
    """Take rows of a table, or entries of a section, away: what is off is as if no layer had it, but its words stay known."""
    table = gathered.merged["tables"].get(section)
    left: Data = gathered.merged[section] if table is None else {row["id"]: row for row in table["rows"]}
    known = set(left)
    kind = "row" if table is not None else "threshold" if section == "thresholds" else section.rstrip("s")
    for i, name in enumerate(names):
        place = document.place((*path, i))
        if kind in ("row", "threshold"):
            name = renamed(f"{kind}s", name, known, place)
        if name in known:
            gathered.steps.setdefault((section, name), []).append(Step(layer, "off", place))
            gone = left.pop(name, None)
            if table is None and gone is not None:
                gathered.merged["off"].setdefault(section, {})[name] = gone
        elif kind != "row" or not covered(name, place):
            yield Problem(f"unknown-{kind}", f"cannot switch off the unknown {kind} {name!r}{did_you_mean(str(name), known)}", place)
    if table is not None:
        table["rows"][:] = left.values()

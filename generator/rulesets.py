"""Rule sets on disk: folders of YAML files, laid over one another, checked, and put together.

Floor 1. A file says by its top-level key what it holds: `table`, `thresholds`, `sources`, `names`, `settings`,
`gpus`, `architectures`, `models`, `methods`, `ggml_types`, `quality`, `support`, `kv_cache`, `engine`, `ruleset`, `profiles`.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from generator.errors import InputError, Problem, did_you_mean, fail
from generator.resources import folder, shown
from generator.source import Document, read_bytes, read_yaml

MAX_RULE_BYTES = 4 << 20
SHIPPED = ("default", "handbook")
MERGED = ("gpus", "architectures", "models", "methods", "sources", "thresholds", "names", "settings", "ggml_types")
"""Sections that are mappings by name; a later layer replaces fields of facts and whole thresholds."""
FACTS = ("gpus", "models", "methods")

Data = dict[str, Any]


def find(name_or_dir: str) -> Path:
    """The folder of a rule set, by shipped name or as a path; raises `InputError` for neither."""
    if name_or_dir in SHIPPED:
        return folder("rules") / name_or_dir
    path = Path(name_or_dir)
    if (path / "ruleset.yaml").is_file():
        return path
    if path.is_dir():
        raise fail("unknown-ruleset", f"{name_or_dir!r} holds no ruleset.yaml")
    raise fail("unknown-ruleset", f"no rule set {name_or_dir!r}{did_you_mean(name_or_dir, SHIPPED)}")


def layers(path: Path) -> list[list[Path]]:
    """The YAML files of a rule set, a list per layer: the shared facts, what it extends, itself."""
    chain: list[Path] = []
    while True:
        if path.resolve() in [p.resolve() for p in chain]:
            raise fail("ruleset-loop", f"{shown(path)} extends itself")
        chain.append(path)
        parent = (read_yaml(path / "ruleset.yaml", shown(path / "ruleset.yaml")).data or {}).get("extends")
        if parent is None:
            break
        path = find(parent if parent in SHIPPED else str(path / parent))
    root = folder("rules")
    shared = [root / "vocabulary.yaml", *sorted((root / "sources").glob("*.yaml")), *sorted((root / "facts").rglob("*.yaml"))]
    return [shared, *([sorted(p.rglob("*.yaml")) for p in reversed(chain)])]


def fingerprint(files: list[list[Path]]) -> str:
    """A hash of the bytes of these files and of the code that puts them together.

    The same in a checkout and in a wheel: places are as messages show them. Raises `InputError` for unreadable files.
    """
    base = f"{folder('rules').parent}{os.sep}"
    digest = hashlib.sha256()
    code = [Path(__file__).with_name(name) for name in ("rulesets.py", "rules_check.py", "rulebook.py", "source.py")]
    for path in [*code, *(p for layer in files for p in layer)]:
        raw = read_bytes(path, MAX_RULE_BYTES)
        digest.update(f"{path.name if path in code else str(path).removeprefix(base)}\0{len(raw)}\0".encode())
        digest.update(raw)
    return digest.hexdigest()


def put_together(path: Path) -> Data:
    """Everything a rule set says, merged from its layers, checked, as plain data by section.

    Raises `InputError` with every problem found, each at `file:line:column`.
    """
    from generator.rules_check import check  # the checks cost nothing where a compiled set is loaded

    merged: Data = {section: {} for section in MERGED}
    merged |= {"tables": {}, "engines": {}, "support": {}, "kv_cache": {}, "quality": [], "ruleset": {}}
    problems: list[Problem] = []
    documents: dict[str, Document] = {}
    for layer in layers(path):
        for file in layer:
            document = read_yaml(file, shown(file), MAX_RULE_BYTES)
            documents[document.name] = document
            if not isinstance(document.data, dict):
                problems.append(Problem("rules-form", "a mapping is expected", document.place()))
                continue
            problems += _lay_over(merged, document)
    problems += check(merged, documents)
    if problems:
        raise InputError(problems)
    merged["ruleset"]["digest"] = digest_of(merged)
    return merged


def _lay_over(merged: Data, document: Document) -> list[Problem]:
    data, problems = document.data, []
    for key, value in data.items():
        at = document.place((key,), key=True)
        if key in MERGED and isinstance(value, dict):
            _merge(merged[key], value, document, key)
        elif key == "table":
            problems += _merge_table(merged["tables"], document)
        elif key == "engine":
            merged["support" if "support" in data else "engines"][value] = data
        elif key in ("kv_cache", "quality"):
            if isinstance(value, dict):
                merged[key] |= value
            else:
                merged[key] = [*merged[key], *value]
        elif key == "dtypes":
            merged["kv_cache"]["dtypes"] = value
        elif key == "ruleset":
            merged["ruleset"] = dict(value)
        elif not _belongs(key, data):
            problems.append(Problem("rules-form", f"unknown section {key!r}{did_you_mean(key, MERGED)}", at))
    return problems


def _belongs(key: str, data: Data) -> bool:
    if "table" in data:
        return key in ("table", "asks", "hit", "rows", "off")
    return "engine" in data or key in ("extends", "title", "note", "checked", "off", "cases")


def _merge(target: Data, entries: Data, document: Document, section: str) -> None:
    for name, entry in entries.items():
        if section in FACTS and isinstance(target.get(name), dict) and isinstance(entry, dict):
            entry = target[name] | entry
        if section == "thresholds" and isinstance(entry, dict):
            place = document.place((section, name), key=True)
            entry = {**entry, "at": f"{place.path}:{place.line}"}
        target[name] = entry


def _merge_table(tables: Data, document: Document) -> list[Problem]:
    data = document.data
    table = tables.setdefault(data["table"], {"hit": data.get("hit", "collect"), "asks": data.get("asks", ""), "rows": []})
    off = data.get("off") or []
    known = {row["id"] for row in table["rows"]}
    problems = [
        Problem("unknown-row", f"there is no row {name!r} to switch off{did_you_mean(name, known)}", document.place(("off", i)))
        for i, name in enumerate(off)
        if name not in known
    ]
    rows = [row for row in table["rows"] if row["id"] not in off]
    here: set[str] = set()
    for i, row in enumerate(data.get("rows") or []):
        place = document.place(("rows", i))
        if not isinstance(row, dict) or not isinstance(row.get("id"), str):
            problems.append(Problem("rules-form", "a row needs an id", place))
            continue
        if row["id"] in here:
            problems.append(Problem("duplicate-row", f"row {row['id']!r} stands here twice", place))
        here.add(row["id"])
        row = {**row, "at": f"{place.path}:{place.line}", "index": i}
        same = next((n for n, old in enumerate(rows) if old["id"] == row["id"]), None)
        if same is None:
            rows.append(row)
        else:
            rows[same] = row
    table["rows"] = rows
    return problems


def digest_of(merged: Data) -> str:
    """What a rule set decides, as a short hash: comments, positions and the order of collected rows do not count."""

    def bare(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: bare(v) for k, v in value.items() if k not in ("at", "index")}
        return [bare(v) for v in value] if isinstance(value, list) else value

    data = bare(merged)
    for table in data["tables"].values():
        if table["hit"] == "collect":
            table["rows"].sort(key=lambda row: row["id"])
    text = json.dumps(data, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]

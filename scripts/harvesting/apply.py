"""Writes what was read of some versions of an engine into `rules/facts`: options, variables, models, and the lists of versions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from generator.quantity import version_key
from harvesting import models
from harvesting.spans import Section, block, changed, holds, load, ordered, rewrite

Snapshots = Mapping[str, Mapping[str, Any]]


def versions_of(root: Path, engine: str) -> list[str]:
    """The versions of an engine that the facts list."""
    return list(load((root / f"rules/facts/engines/{engine}.yaml").read_text(encoding="utf-8"))["versions"])


def apply(root: Path, engine: str, read: Snapshots) -> list[str]:
    """Writes what differs; returns the paths that changed. `read`: what was harvested, by version."""
    versions = ordered([*versions_of(root, engine), *read])
    flags = root / f"rules/facts/flags/{engine}.yaml"
    said = load(flags.read_text(encoding="utf-8"))
    done = [str(flags.relative_to(root))] if _options(flags, versions, read) | _variables(flags, versions, read, said) else []
    if _list_versions(flags, versions):
        done = [str(flags.relative_to(root))]
    facts = root / f"rules/facts/engines/{engine}.yaml"
    if _engine_versions(facts, versions, read):
        done.append(str(facts.relative_to(root)))
    registry = root / f"rules/facts/registry/{engine}.yaml"
    if (
        registry.exists()
        and any(one.get("architectures") for one in read.values())
        and models.update(root, registry, engine, versions, read)
    ):
        done.append(str(registry.relative_to(root)))
    return done


def _options(path: Path, versions: list[str], read: Snapshots) -> bool:
    def edit(section: Section, said: Mapping[str, Any]) -> None:
        tables = {version: options_of(one, said) for version, one in read.items()}
        for name in sorted({*said, *(option for table in tables.values() for option in table)}):
            rows = said.get(name)
            held = rows if isinstance(rows, list) else [rows] if rows else []
            if held and not any(holds(row, v) for row in held for v in versions) and not any(name in table for table in tables.values()):
                continue  # gone before the oldest version
            if (new := changed(rows, versions, {v: table.get(name) for v, table in tables.items()})) is not None:
                section.put(name, block(name, new)) if new else section.entries.pop(name, None)

    return rewrite(path, "options", edit)


WORDS = {"--quantization": "quantization", "--tool-call-parser": "tool_parsers", "--reasoning-parser": "reasoning_parsers"}


def options_of(snapshot: Mapping[str, Any], known: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The options as they were read, each under the spelling that the facts have for it, with the words that are checked after parsing."""
    out: dict[str, dict[str, Any]] = {}
    spelled = {
        other: name
        for name, rows in known.items()
        for row in (rows if isinstance(rows, list) else [rows])
        for other in row.get("names", ())
    }
    for first, found in snapshot["options"].items():
        entry = {key: value for key, value in found.items() if key != "default"}
        names = [first, *entry.get("names", ())]
        name = next((one for one in names if one in known), None) or next((spelled[one] for one in names if one in spelled), first)
        if name != first:
            entry["names"] = [one for one in names if one != name]
        if name in WORDS and "choices" not in entry and snapshot.get(WORDS[name]):
            entry["words"] = sorted(snapshot[WORDS[name]])
        out[name] = entry
    return out


def _variables(path: Path, versions: list[str], read: Snapshots, said: Mapping[str, Any]) -> bool:
    """Variables that went: the first version that no longer names them. One that is new here is added if the newest release read does not name it."""
    if "env" not in said:
        return False

    newest = read[ordered(read)[-1]]

    def edit(section: Section, known: Mapping[str, Any]) -> None:
        for name in sorted({variable for one in read.values() for variable in one.get("declared", ())} | set(known)):
            if name not in known:
                last = [v for v in ordered(read) if name in read[v]["declared"]][-1]
                until = next((v for v in versions if version_key(v) > version_key(last)), None)
                if until in read and name not in newest["env"] and not UNTOLD.search(name):
                    section.put(name, block(name, [{"type": "string", "until": until}]))
                continue
            until = known[name].get("until")
            while (
                until in versions
                and (at := versions.index(until))
                and versions[at - 1] not in said["versions"]
                and name not in read[versions[at - 1]]["env"]
            ):
                until = versions[at - 1]  # it was gone in a release that was not listed before
            if until != known[name].get("until"):
                section.put(name, block(name, [{**known[name], "until": until}]))

    return rewrite(path, "env", edit)


UNTOLD = re.compile(r"^SGL_|DIFFUSION|_CI(_|$)|TEST|DUMP|REPO_ROOT|PERF")
"""Variables of tests and of other programs in the package, and those that are still read under a longer name."""


def _list_versions(path: Path, versions: list[str]) -> bool:
    text = path.read_text(encoding="utf-8")
    found = re.search(r"^versions: \[.*?\]\n", text, re.DOTALL | re.MULTILINE)
    if found is None or ordered(load(found[0])["versions"]) == versions:
        return False
    rows = block("versions", [], "")
    words = ", ".join(f'"{version}"' for version in versions)
    rows = _fill(f"versions: [{words}]", "  ")
    path.write_text(text.replace(found[0], "\n".join(rows) + "\n"), encoding="utf-8")
    return True


def _fill(text: str, indent: str) -> list[str]:
    import textwrap

    return textwrap.wrap(text, 138, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def _engine_versions(path: Path, versions: list[str], read: Snapshots) -> bool:
    text = path.read_text(encoding="utf-8")
    found = re.search(r'^versions:\n((?:  "[^"]+": .*\n)+)', text, re.MULTILINE)
    if found is None:
        return False
    lines = {str(next(iter(load(line)))): line for line in found[1].splitlines()}
    for version in versions:
        if version not in lines:
            source = next((one["source"] for v, one in read.items() if v == version), None)
            lines[version] = f'  "{version}": {{source: {source}}}'
    new = "versions:\n" + "\n".join(lines[version] for version in versions) + "\n"
    if new == found[0]:
        return False
    path.write_text(text.replace(found[0], new), encoding="utf-8")
    return True

"""Facts by version, kept as spans: laid out version by version, one version's column replaced, and put together again.

Only the lines of what changed are written anew; comments, order and every other line of the file stay. Of an option, what a person wrote (what
to use instead, limits, what else it needs) stays with it."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from generator.quantity import version_key

READ = ("names", "off", "type", "nargs", "choices", "words", "env")
"""What a harvest says of an option; all other keys are a person's."""
ORDER = (
    *READ,
    "words_since",
    "least",
    "above",
    "most",
    "or",
    "repeatable",
    "deprecated",
    "env",
    "numbers",
    "needs",
    "since",
    "until",
    "use",
)
WIDTH = 138


_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_Base):
    """As the rules are read: `off` and `no` are words."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in pairs if tag != "tag:yaml.org,2002:bool" or first in "tTfF"]
    for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def load(text: str) -> Any:
    """The data of a YAML file of the rules."""
    return yaml.load(text, Loader=_Loader)  # a SafeLoader


Entry = dict[str, Any]
Column = dict[str, Entry | None]


def ordered(versions: Iterable[str]) -> list[str]:
    """Versions, oldest first."""
    return sorted(set(versions), key=version_key)


def holds(span: Mapping[str, Any], version: str) -> bool:
    """Whether a span (`since`, `until`) covers a version."""
    key = version_key(version)
    return ("since" not in span or version_key(span["since"]) <= key) and ("until" not in span or key < version_key(span["until"]))


def laid_out(entries: Entry | list[Entry] | None, versions: list[str]) -> Column:
    """The entry of each version, None where it has none."""
    rows = [entries] if isinstance(entries, dict) else entries or []
    found: Column = {}
    for version in versions:
        entry = next((row for row in rows if holds(row, version)), None)
        found[version] = None if entry is None else {key: value for key, value in entry.items() if key not in ("since", "until")}
    return found


def together(column: Column, versions: list[str]) -> list[Entry]:
    """The spans of a laid-out entry, oldest first; without `since` it is in the oldest version, without `until` in the newest."""
    out: list[Entry] = []
    for at, version in enumerate(versions):
        entry, before = column[version], column[versions[at - 1]] if at else None
        if entry is None:
            if before is not None:
                out[-1]["until"] = version
        elif before is None or not same(entry, before):
            if before is not None:
                out[-1]["until"] = version
            out.append({**entry, **({"since": version} if at else {})})
    return out


def same(one: Entry, other: Entry) -> bool:
    """Whether two entries say the same; lists are sets, and what to use instead only matters at the end."""
    keys = (one.keys() | other.keys()) - {"use"}
    return all(_set(one.get(key)) == _set(other.get(key)) for key in keys)


def _set(value: Any) -> Any:
    return frozenset(map(str, value)) if isinstance(value, list) else value


def merged(said: Entry | None, read: Entry) -> Entry:
    """An option as it was read in a version, with what a person said of it in that version or its neighbour."""
    if said is None:
        return {key: read[key] for key in (*READ, "deprecated", "repeatable") if read.get(key) not in (None, [])}
    out = {key: value for key, value in said.items() if key not in ("words_since", "names", "off", "nargs")}
    if not (
        read["type"] in ("string", "json", "int")
        and said["type"] not in ("switch", read["type"])
        and not (read["type"] == "json" and said["type"] == "string")
    ):
        out["type"] = read["type"]
    for key in ("names", "off"):
        if read.get(key):
            out[key] = said[key] if _set(said.get(key)) == _set(read[key]) else read[key]
    out |= {key: read[key] for key in ("nargs", "env") if key in read}
    held = next((key for key in ("choices", "words") if key in said), None)
    words = read.get("choices") or read.get("words")
    if words:
        key = held or ("choices" if "choices" in read else "words")
        out[key] = said[key] if held and _set(said[key]) == _set(words) else words
    elif held == "choices" and "unsure" not in read and out["type"] == "string":
        del out["choices"]  # the parser takes any word in this version
    return out


def changed(entries: Any, versions: list[str], read: Mapping[str, Entry | None]) -> list[Entry] | None:
    """The spans of an option once some versions were read; None if nothing changes. `read`: the option in each version that was read."""
    before = laid_out(entries, versions)
    column: Column = dict(before)
    listed = [version for version in versions if version not in read or before[version] is not None]
    for version, found in read.items():
        if found is None:
            column[version] = None
            continue
        near = before[version] or _neighbour(before, versions, version, listed)
        column[version] = merged(near, found)
    if all((column[v] is None) == (before[v] is None) and (column[v] is None or same(column[v] or {}, before[v] or {})) for v in versions):
        return None
    return together(column, versions)


def _neighbour(column: Column, versions: list[str], version: str, listed: list[str]) -> Entry | None:
    at = versions.index(version)
    for other in (*reversed(versions[:at]), *versions[at + 1 :]):
        if column[other] is not None:
            return column[other]
    return None


def flow(value: Any) -> str:
    """One line of YAML; versions and words that YAML would read as something else are quoted."""
    if isinstance(value, dict):
        rank = {key: at for at, key in enumerate(ORDER)}
        keys = sorted(value, key=lambda key: rank.get(key, len(rank)))
        return (
            "{"
            + ", ".join(
                f"{key}: {flow_version(value[key]) if key in ('since', 'until', 'words_since') else flow(value[key])}" for key in keys
            )
            + "}"
        )
    if isinstance(value, list):
        return "[" + ", ".join(map(flow, value)) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _scalar(value)
    return str(value)


def flow_version(value: Any) -> str:
    """A version, quoted; a table of them by word."""
    return flow({key: flow_version(one) for key, one in value.items()}) if isinstance(value, dict) else f'"{value}"'


def _scalar(text: str) -> str:
    if text and text not in "+*?" and load(f"[{text}]") == [text] and not re.search(r"[,\[\]{}#&*!|>'\"%@`]|: |^[-?] ", text):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def block(name: str, entries: list[Entry], indent: str = "  ") -> list[str]:
    """The lines of an option."""
    if len(entries) == 1:
        return _wrapped(f"{indent}{_scalar(name)}: {flow(entries[0])}", indent + "  ")
    lines = [f"{indent}{_scalar(name)}:"]
    for entry in entries:
        lines += _wrapped(f"{indent}  - {flow(entry)}", indent + "    ")
    return lines


def _wrapped(text: str, indent: str) -> list[str]:
    rows = textwrap.wrap(text.replace(": ", ":\0"), WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
    return [row.replace("\0", " ") for row in rows]  # a key stays with its value


class Section:
    """The lines of one mapping of a YAML file (`options:`), entry by entry."""

    def __init__(self, text: str, key: str) -> None:
        lines = text.splitlines()
        first = next((at for at, line in enumerate(lines) if re.match(rf"{re.escape(key)}:( |$)", line)), None)
        if first is None:
            raise LookupError(f"no section {key}")
        last = next((at for at in range(first + 1, len(lines)) if re.match(r"[^\s#]", lines[at])), len(lines))
        self.before, self.after = lines[: first + 1], lines[last:]
        self.entries: dict[str, list[str]] = {}
        name = ""
        for line in lines[first + 1 : last]:
            if found := re.match(r'  ("?)([^\s#"][^\s:"]*)\1:', line):
                name = found[2]
            self.entries.setdefault(name, []).append(line)

    def put(self, name: str, lines: list[str]) -> None:
        """An entry's new lines; a new one goes before the first whose name sorts after it."""
        if name not in self.entries:
            after = next((other for other in self.entries if other > name), None)
            if after is not None:
                names = list(self.entries)
                at = names.index(after)
                self.entries = {**{n: self.entries[n] for n in names[:at]}, name: lines, **{n: self.entries[n] for n in names[at:]}}
                return
        self.entries[name] = lines

    def text(self) -> str:
        """The whole file."""
        return "\n".join([*self.before, *(line for lines in self.entries.values() for line in lines), *self.after]) + "\n"


def rewrite(path: Path, key: str, edit: Callable[[Section, Mapping[str, Any]], None]) -> bool:
    """Edits one section of a file; true if it changed."""
    text = path.read_text(encoding="utf-8")
    section = Section(text, key)
    edit(section, load(text)[key])
    new = section.text()
    if new != text:
        path.write_text(new, encoding="utf-8")
    return new != text

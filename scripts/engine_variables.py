#!/usr/bin/env python3
"""The environment variables that an engine reads, by the first version that does: `variables` of rules/facts/flags/ENGINE.yaml.

    python scripts/engine_variables.py vllm DIR     DIR/VERSION holds the unpacked wheel of each catalogued version; prints the YAML

A variable counts as read where its name stands in quotes anywhere in the package, or in SGLang's `environ.py`: rather one too many
than one that is refused though the engine reads it. What a newer version no longer reads stands under `env` with its `until`.
"""

from __future__ import annotations

import re
import sys
import textwrap
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
PREFIX = {"vllm": ("VLLM_",), "sglang": ("SGLANG_", "SGL_")}


def read(folder: Path, prefixes: tuple[str, ...]) -> set[str]:
    """The names in the sources of one version."""
    words = "|".join(prefixes)
    quoted, declared = re.compile(rf"""["']((?:{words})[A-Z0-9_]+)["']"""), re.compile(rf"^\s+((?:{words})[A-Z0-9_]+)\s*=\s*Env", re.M)
    found: set[str] = set()
    for path in folder.rglob("*.py"):
        text = path.read_text(encoding="utf-8", errors="replace")
        found |= set(quoted.findall(text)) | (set(declared.findall(text)) if path.name == "environ.py" else set())
    return found


def main(engine: str, sources: Path) -> None:
    """Print the section of one engine."""
    table = yaml.safe_load((ROOT / f"rules/facts/flags/{engine}.yaml").read_text(encoding="utf-8"))
    known = {name for name, entry in (table.get("env") or {}).items() if "until" in entry}
    print(f"variables: # by the first version that reads them, read by scripts/engine_variables.py\n  prefixes: [{', '.join(PREFIX[engine])}]")
    print(f"  source: {engine}-envs\n  since:")
    for version in table["versions"]:
        names = sorted(read(sources / version, PREFIX[engine]) - known)
        known |= set(names)
        if names:
            print(f'    "{version}":')
            print(textwrap.fill(f"[{', '.join(names)}]", 138, initial_indent="      ", subsequent_indent="      "))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))

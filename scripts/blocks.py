"""Blocks of generated text in documents, between `<!-- generated: NAME … -->` and `<!-- end -->`.

    python scripts/NAME.py            writes what has changed
    python scripts/NAME.py --check    writes nothing; exit 1 where something has
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def put(blocks: Mapping[str, Mapping[str, str]]) -> int:
    """Put blocks into files (`blocks[path][name]`); a file whose only block is `""` is generated whole. Returns an exit code."""
    check = "--check" in sys.argv[1:]
    changed = 0
    for name, texts in blocks.items():
        path = ROOT / name
        old = path.read_text(encoding="utf-8") if path.exists() else ""
        new = texts.get("", old)
        for block, text in texts.items():
            if block:
                new = _replaced(new, block, text, name)
        if new != old:
            changed += 1
            print(f"{name}: {'out of date (run scripts/regenerate.sh)' if check else 'written'}")
            if not check:
                path.parent.mkdir(exist_ok=True)
                path.write_text(new, encoding="utf-8")
    return 1 if check and changed else 0


def _replaced(document: str, block: str, text: str, name: str) -> str:
    pattern = re.compile(rf"(<!-- generated: {re.escape(block)}\b[^>]*-->\n).*?(<!-- end -->)", re.DOTALL)
    found, count = pattern.subn(lambda match: match.group(1) + "\n" + text.rstrip("\n") + "\n\n" + match.group(2), document)
    if count != 1:
        raise SystemExit(f"{name}: there are {count} blocks `generated: {block}`")
    return found


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table; a column whose title ends with `:` is aligned to the right."""
    lines = [
        "| " + " | ".join(title.removesuffix(":") for title in head) + " |",
        "|" + "|".join("---:" if title.endswith(":") else "---" for title in head) + "|",
    ]
    lines += ["| " + " | ".join(cell(value) for value in row) + " |" for row in rows]
    return "\n".join(lines)


def cell(value: object) -> str:
    """A value as the text of a cell."""
    if value is None:
        return "–"
    if isinstance(value, list | tuple):
        return ", ".join(map(cell, value))
    return " ".join(str(value).split()).replace("|", "\\|").replace("<", "\\<")

"""Writes the names of `rules/vocabulary.yaml` from their declarations in `generator/decide/vocabulary.py`.

Run it after a change of a declaration, then `scripts/make_schemas.py` and `scripts/doc_tables.py`; `--check` says whether that is needed.
What rows may set (`settings`) is written by hand, below.
"""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path
from types import NoneType
from typing import Any, get_args, get_type_hints

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from generator.decide.vocabulary import STAGE_NAMES, Name  # noqa: E402
from generator.rulebook.table import STAGES  # noqa: E402

FILE = ROOT / "rules" / "vocabulary.yaml"
WIDTH = 140
TYPES: dict[Any, str] = {str: "word", frozenset[str]: "words", bool: "flag", int: "number", float: "number"}
NOT_PLAIN = ("yes", "no", "on", "off", "true", "false", "null")


def declared() -> dict[str, dict[str, Any]]:
    """Each name with its entry, as the file holds it."""
    found: dict[str, dict[str, Any]] = {}
    for stage, declaration in zip(STAGES, STAGE_NAMES, strict=True):
        for name, annotated in get_type_hints(declaration, include_extras=True).items():
            kind, said = get_args(annotated)
            assert isinstance(said, Name), name
            kinds = [part for part in get_args(kind) if part is not NoneType] if NoneType in get_args(kind) else [kind]
            entry = {"stage": stage, "type": TYPES[kinds[0]], "unit": said.unit, "values": list(said.values), "from": said.of}
            found[name] = {key: value for key, value in entry.items() if value} | {"origin": said.origin, "meaning": said.meaning}
    return found


def as_yaml(name: str, entry: dict[str, Any]) -> str:
    """One entry, no wider than what people read at a sight: on one line, or with its meaning on lines of its own."""
    parts = "".join(f"{key}: {_value(value)}, " for key, value in entry.items() if key != "meaning")
    quoted = entry["meaning"].replace('"', '\\"')
    head, meaning = f"  {name}: {{{parts}".rstrip(), f'meaning: "{quoted}"}}'
    if len(head) + len(meaning) < WIDTH:
        return f"{head} {meaning}\n"
    return "".join(f"{line}\n" for line in (*_wrapped(head, ""), *_wrapped(meaning, "    ")))


def _wrapped(line: str, indent: str) -> list[str]:
    return textwrap.wrap(line, WIDTH, initial_indent=indent, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False)


def _value(value: str | list[str]) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(f"'{word}'" if word in NOT_PLAIN else word for word in value) + "]"
    return value


def text() -> str:
    """The whole file as it should be."""
    old = FILE.read_text(encoding="utf-8")
    head, _, rest = old.partition("\nnames:\n")
    found = declared()
    parts = [
        f"  # ---- {stage}\n" + "".join(as_yaml(name, entry) for name, entry in found.items() if entry["stage"] == stage) for stage in STAGES
    ]
    return f"{head}\nnames:\n{''.join(parts)}{rest[rest.index(chr(10) + '# ----') :]}"


def main() -> int:
    """Write the file if it has changed, or with `--check` only say so."""
    new = text()
    if new == FILE.read_text(encoding="utf-8"):
        return 0
    print(FILE.relative_to(ROOT))
    if "--check" in sys.argv[1:]:
        return 1
    FILE.write_text(new, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

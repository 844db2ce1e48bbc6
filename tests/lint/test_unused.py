"""Every threshold, setting and source of the shipped rules is read: by rows, by facts, or by a word of the code, of
templates, or of what the code reads of the engines (rules/engines.json)."""

from __future__ import annotations

import re
from pathlib import Path

from generator.rulebook.lint.findings import words_read
from generator.rulebook.rulesets import find, gather

ROOT = Path(__file__).resolve().parents[2]
WORD = re.compile(r"\"([A-Za-z0-9_.-]+)\"")
QUOTED = re.compile(r"'([a-z0-9.-]+)'")
"""In templates."""
REMARK = re.compile(r"# source: ([a-z0-9.-]+)")
"""A source of a whole table, beside its key."""
COMPOSED = re.compile(r"f\"([A-Za-z0-9_.-]*(?:\{[^}\"]+\}[A-Za-z0-9_.-]*)+)\"")
CITED = re.compile(r"`([a-z0-9.-]+)`")
"""A source in a docstring."""
HOLE = re.compile(r"\{[^}]+\}")
LEAST = 4
"""Letters of a composed name that stand in the code."""


def test_what_nothing_reads() -> None:
    texts = [path.read_text(encoding="utf-8") for path in (ROOT / "generator").rglob("*.py") if path.parent.name != "lint"]
    texts.append((ROOT / "rules/engines.json").read_text(encoding="utf-8"))
    texts += [path.read_text(encoding="utf-8") for path in (ROOT / "templates").rglob("*.j2")]
    code = {word for text in texts for pattern in (WORD, QUOTED, CITED) for word in pattern.findall(text)}
    made = {found for text in texts for found in COMPOSED.findall(text) if len(HOLE.sub("", found).strip(".")) >= LEAST and "." in found}
    composed = [re.compile("[a-z0-9_.-]+".join(map(re.escape, HOLE.split(found)))) for found in made]
    remarked = {name for path in (ROOT / "rules").rglob("*.yaml") for name in REMARK.findall(path.read_text(encoding="utf-8"))}
    sets = [gather(find(name), trust=False) for name in ("default", "handbook")]
    read = {word for gathered in sets for word in words_read(gathered)} | code | remarked
    read |= {key for engine in sets[0].merged["engines"].values() for key in engine["flags"]}

    def used(name: str) -> bool:
        return name in read or ("." in name and name[name.find(".") :] in read) or any(pattern.fullmatch(name) for pattern in composed)

    for gathered in sets:
        for section in ("thresholds", "settings", "sources"):
            assert [name for name in gathered.merged[section] if not used(name)] == [], section

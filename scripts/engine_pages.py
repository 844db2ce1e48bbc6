"""Generate docs/engines/*.md from the rules: the settings that are written, how each version spells them, and why."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping

from blocks import put

from generator.render.spelling import Entry as Spelling
from generator.rulebook.book import RuleBook, file_format, load
from generator.verify.catalogue import Entry

NOTE = "<!-- Written by scripts/engine_pages.py from the rules. Do not edit. -->"
VERIFIED = {
    "parser": "checked with the engine's own parser", "source": "read in its source", "docs": "from its documentation", "inferred": "inferred",
    "start": "confirmed by starting a server",
}  # fmt: skip


def engine_page(book: RuleBook, engine: str) -> str:
    """The page of an engine."""
    facts = book.section("engines")[engine]
    table = book.section("flags")[engine]
    versions = list(facts["versions"])
    lines = [
        NOTE, "", f"# {facts['title']}", "",
        f"Default version {facts['default_version']}; {len(versions)} version{'s' if len(versions) > 1 else ''} in the catalogue: {', '.join(versions)}.",
        f"`gen-deploy verify` knows {len(table['options'])} options"
        + (f", {len(table['parameters'])} parameters and {len(table['env'])} environment variables" if "parameters" in table else "")
        + (" (transcribed from the engine's source, not queried from the engine)." if table.get("transcribed") else "."),
        "", "## Generated settings", "",
        "| setting | spelling | versions | evidence | when and why |", "|---|---|---|---|---|",
    ]  # fmt: skip
    reasons = _reasons(book, engine)
    for name, entries in facts["flags"].items():
        for entry in entries:
            why = "; ".join(reasons.get(name, ())) if entry is entries[-1] else ""
            lines.append(f"| `{name}` | {_spelling(entry)} | {_span(entry)} | {VERIFIED[entry['verified']]} | {_cell(why)} |")
    if len(versions) > 1:
        lines += ["", f"The names were checked with the engine's own parser at {facts['default_version']}; for older versions, in its source."]
    never = [name for name in facts["flags"] if name not in reasons]
    lines += ["", "A setting without a reason is written only if the spec or another rule set asks for it.", ""] if never else [""]
    lines += _removed_options(table["options"])
    if facts.get("notes"):
        lines += ["## Good to know", "", *(f"- {note}" for note in facts["notes"]), ""]
    holders = [table, facts, *(entry for entries in facts["flags"].values() for entry in entries)]
    lines += ["## Sources", "", *(f"- {_source(book, key)}" for key in _sources(holders)), ""]
    return "\n".join(lines)


def _spelling(entry: Spelling) -> str:
    if entry.get("where") == "env":
        shown = f"`{entry['env']}` (environment)"
    elif entry.get("where") == "modelfile":
        shown = f"`PARAMETER {entry['parameter']}`"
    elif entry.get("where") == "config":
        shown = f"`{entry['key']}` (file)"
    else:
        shown = f"`{entry['flag']}`"
    shown += "".join(f" `{flag}`" for flag in entry.get("also", ()))
    words = {old: new for old, new in (entry.get("values") or {}).items() if old != new}
    pairs = ", ".join(f"{old} → {'left out' if new is None else new}" for old, new in words.items())
    return shown + (f" ({pairs})" if pairs else "")


def _span(entry: Mapping[str, object]) -> str:
    since, until = entry.get("since"), entry.get("until")
    return f"{since or ''} to before {until}" if until else f"from {since}"


def _reasons(book: RuleBook, engine: str) -> dict[str, list[str]]:
    """For each setting, the reasons of the rules to write it for this engine."""
    facts = book.section("engines")[engine]
    families = {entry["family"] for entry in book.section("methods").values() if file_format(entry) in facts["formats"]}
    known = [{"engine": engine, "engine.settings": frozenset(facts["flags"]), "method.family": family} for family in families]
    found: dict[str, list[str]] = {}
    for row in book.tables["settings"].rows:
        if any(all(test(one[name]) for name, test in row.tests if name in one) for one in known):
            for name in row.set:
                found.setdefault(name, []).append(f"{row.because} (`{row.id}`)")
    return found


def _removed_options(options: Mapping[str, Entry | list[Entry]]) -> list[str]:
    rows = []
    for name, entries in options.items():
        last = entries[-1] if isinstance(entries, list) else entries
        if last.get("until"):
            rows.append((name, last["until"], last.get("use") or ""))
        elif last.get("deprecated"):
            rows.append((name, "deprecated", last.get("use") or ""))
    if not rows:
        return []
    head = ["## Removed options", "", "| option | removed in | use |", "|---|---|---|"]
    return [*head, *(f"| `{name}` | {since} | {_cell(use)} |" for name, since, use in sorted(rows)), ""]


def _sources(holders: Iterable[Mapping[str, object]]) -> Iterator[str]:
    seen: dict[str, None] = {}
    for holder in holders:
        given = holder.get("source") or []
        seen |= dict.fromkeys(map(str, given if isinstance(given, list) else [given]))
    yield from seen


def _source(book: RuleBook, key: str) -> str:
    entry = book.source(key) or {}
    where = entry.get("url") or entry.get("where") or ""
    return f"`{key}`: {entry.get('title', '')}. {where} (read {entry.get('read', '')})"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


if __name__ == "__main__":
    rules = load()
    sys.exit(put({f"docs/engines/{engine}.md": {"": engine_page(rules, engine)} for engine in rules.section("engines")}))

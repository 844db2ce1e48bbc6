"""Measured constants as a rule set of the user's own: `extends: default`, thresholds, and a source that names the log.

Floor 7, pure: the text of the files by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from generator.calibrate.measure import Measured
from generator.quantity import version_key
from generator.render.yaml_text import block
from generator.rulebook.book import RuleBook


def overlay(book: RuleBook, base: str, version: str | None, measured: Sequence[Measured], logs: Sequence[tuple[str, str]]) -> dict[str, str]:
    """The files of the overlay. `logs` are names and dates of the logs; the value holds from `version` to the next era."""
    date = max((day for _, day in logs), default="2000-01-01")
    source = "measured-" + (f"{version_key(version)[0]}-{version_key(version)[1]}" if version else "start")
    thresholds = {one.threshold: _threshold(book, one, version, source, date) for one in measured}
    sources = {
        source: {
            "title": f"Start-up log, measured by gen-deploy calibrate ({', '.join(log for log, _ in logs)})",
            "where": ", ".join(f"{log} of {day}" for log, day in logs),
            "read": date,
        }
    }
    numbers = "Numbers measured from start-up logs; all others are as in the rule set that this one extends."
    return files(base, "Constants measured from start-up logs", sources, "thresholds", thresholds, numbers)


def files(base: str, title: str, sources: Mapping[str, Mapping[str, str]], section: str, entries: object, about_them: str) -> dict[str, str]:
    """A rule set over `base` with entries of a section (`thresholds`, `quality`) of its own, and the comment above them."""
    about = {"extends": base, "ruleset": {"name": "measured", "title": title, "sizing": "detailed"}}
    return {
        "ruleset.yaml": _page("A rule set of your own over another: use it with --rules DIR.", about),
        "sources.yaml": _page("Where the numbers beside this file come from.", {"sources": sources}),
        f"{section}.yaml": _page(about_them, {section: entries}),
    }


def _threshold(book: RuleBook, one: Measured, version: str | None, source: str, date: str) -> dict[str, object]:
    """The whole threshold again, since a later layer replaces it: eras before and after the measured version stay."""
    entry = book.thresholds[one.threshold]
    head: dict[str, object] = {"meaning": entry.get("meaning", one.threshold), "unit": entry["unit"], "checked": date}
    if version is None:
        return {**head, "source": source, "value": one.value}
    rows = [row.copy() for row in entry.get("by_version") or [{"since": "0", "value": entry["value"]}]]
    rows = [row for row in rows if version_key(row["since"]) != version_key(version)]
    for row in rows:
        row.setdefault("source", entry["source"])
    rows.append({"since": version, "value": one.value, "source": source})
    rows.sort(key=lambda row: version_key(row["since"]))
    return {**head, "source": source, "by_version": rows}


def _page(comment: str, data: Mapping[str, object]) -> str:
    return f"# {comment}\n{block(data)}"

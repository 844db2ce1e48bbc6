"""A comparison as GitHub Actions annotations: at the edited lines of the rules, and at the changed specs.

Floor 7, pure. `%`, line ends and, in properties, `:` and `,` are escaped, so that no value can start a new command.
"""

from __future__ import annotations

from collections.abc import Iterator

from generator.compare.groups import as_told
from generator.compare.model import LEVELS, Comparison
from generator.errors import printable
from generator.report import diff_words as words

GRAVE = LEVELS.index("no-longer-fits")


def github(result: Comparison) -> str:
    """The annotations, one per line; the verdict comes last."""
    return "\n".join(_lines(result))


def _lines(result: Comparison) -> Iterator[str]:
    for group in as_told(result.decisive):
        change = group.changes[0]
        kind = "error" if LEVELS.index(change.level) == GRAVE else "warning"
        more = [f"and {len(group.changes) - 1} more specs, {words.cause_of(group, result)}"] if group.large else []
        message = "\n".join([f"{change.name}: {words.headline(change)}", *words.cause_lines(change, result), *more])
        yield command(kind, message, file=change.spec, line="1", title="gen-deploy diff")
    for edit in result.edits:
        file, _, line = edit.at.rpartition(":")
        place = {"file": file, "line": line} if file and line.isdigit() else {}
        yield command("notice", f"{words.edit_words(edit)}: {words.effect(edit, result)}", **place, title="rules edited")
    if result.grid is not None:
        yield command("notice", words.verdict(result.grid, words.GRID), title="gen-deploy diff, grid")
    yield command("notice", words.verdict(result), title="gen-deploy diff")


def command(kind: str, message: str, **properties: str) -> str:
    """One workflow command."""
    told = ",".join(f"{key}={_property(value)}" for key, value in properties.items())
    return f"::{kind} {told}::{_data(message)}"


def _data(text: str) -> str:
    return printable(text).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")

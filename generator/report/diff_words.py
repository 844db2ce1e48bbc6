"""The wording of a comparison, shared by its formats.

Floor 7, pure. Nothing here is escaped for a format; every value may come from a pull request."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from generator.compare.groups import Group
from generator.compare.model import DECISIVE, LEVELS, Cause, Change, Comparison, Edit, Move
from generator.render.templates import render

ONE = {
    "no-longer-fits": "no longer fits", "now-fits": "now fits", "engine": "changes engine", "method": "changes method",
    "gpus": "changes its GPU layout", "settings": "changes settings",
    "figures": "other figures", "warnings": "other warnings", "wording": "other reasons, sources or runners-up",
}  # fmt: skip
EDITED = {"spec": "the spec was edited", "lock": "the lock was changed"}
MOST_MOVES = 4
MOST_WORD = 60


def verdict(result: Comparison, unit: str = "spec") -> str:
    """The summary: how many specs decide differently and how, and what all decisions come to."""
    changed, told = Counter(_worst(result.decisive).values()), None
    levels = [f"{count} {ONE[level] if count == 1 else _several(level)}" for level in LEVELS if (count := changed[level])]
    if (found := result.totals) is not None:
        texts = {"worst": value(found.worst) if found.worst else "", "currency": value(found.currency)}
        told = {**found._asdict(), **texts, "missed": len(found.missed), "missing": listed(map(value, found.missed))}
    return _joined("verdict", unit=unit, specs=result.specs, unplanned=result.unplanned, changed=changed.total(), levels=levels, totals=told)


def _joined(template: str, **values: object) -> str:
    """What a template says, on one line."""
    return " ".join(render(f"diff/{template}.j2", **values).split())


def _several(level: str) -> str:
    return ONE[level].replace("fits", "fit").replace("changes", "change").replace(" its ", " their ")


def _specs(count: int, unit: str = "spec") -> str:
    return f"{count} {unit}{'' if count == 1 else 's'}"


def _worst(changes: Iterable[Change]) -> dict[str, str]:
    """The most severe level of each spec (changes are sorted by severity)."""
    found: dict[str, str] = {}
    for change in changes:
        found.setdefault(change.spec, change.level)
    return found


def others_line(result: Comparison) -> str | None:
    """Informational changes, and added and removed specs, in a line."""
    told = _worst(result.changes)
    counts = Counter(level for level in told.values() if LEVELS.index(level) > DECISIVE)
    parts = [f"{counts[level]} with {ONE[level]}" for level in LEVELS if counts[level]]
    parts += [f"{len(result.added)} new: {listed(result.added)}"] if result.added else []
    parts += [f"{len(result.removed)} removed: {listed(result.removed)}"] if result.removed else []
    parts += [f"{result.unplanned} that cannot be planned"] if result.unplanned else []
    return f"also: {'; '.join(parts)}" if parts else None


def headline(change: Change, whole: bool = False) -> str:
    """The result for a spec, without its name."""
    if change.level == "no-longer-fits":
        text = f"no longer fits; was {change.old}"
    elif change.level == "now-fits":
        text = f"now fits: {change.new}"
    elif change.old != change.new:
        text = f"{change.old} → {change.new}"
    else:
        text = moved(change.moves, whole) or ONE[change.level]
    if change.problem:
        text += f" ({change.problem})"
    return text + (f" ({EDITED[change.by]})" if change.by in EDITED else "")


def moved(moves: Iterable[Move], whole: bool = False) -> str:
    """Values of a decision, before and after."""
    found = list(moves)
    shown = found if whole or len(found) <= MOST_MOVES else found[:MOST_MOVES]
    text = ", ".join(arrow(move) for move in shown)
    return f"{text}, and {len(found) - len(shown)} more" if len(shown) < len(found) else text


def arrow(move: Move) -> str:
    """`name old → new`, or `name value` if unchanged."""
    if move.old == move.new:
        return f"{move.key} {value(move.new)}"
    if move.old is None and not isinstance(move.new, dict | list):
        return f"{move.key} {value(move.new)}"
    if move.new is None:
        return f"no {move.key} {value(move.old)}"
    return f"{move.key} {value(move.old)} → {value(move.new)}"


def value(thing: object) -> str:
    """A value in short form."""
    match thing:
        case None:
            return "nothing"
        case bool():
            return "yes" if thing else "no"
        case float():
            return f"{thing:.4g}"
        case dict():
            text = "{" + ", ".join(f"{k}: {value(v)}" for k, v in thing.items()) + "}"
        case list() | tuple():
            text = "[" + ", ".join(map(value, thing)) + "]"
        case _:
            text = " ".join(str(thing).split())
    return text if len(text) <= MOST_WORD else text[: MOST_WORD - 1] + "…"


def cause_lines(change: Change, result: Comparison, most: int | None = None) -> list[str]:
    """The rows behind a change; the first line names the edits that no row mentions."""
    causes = change.causes if most is None else change.causes[:most]
    told = {move.key for cause in causes for move in cause.read} | {cause.row for cause in causes}
    by = [edit_words(edit) for edit in result.edits if edit.id in change.edits and edit.name not in told]
    named = f"by {listed(by, 3)}" if by else ""
    if not causes:
        return [named] if named else []
    return [cause_line(cause, named if i == 0 else "") for i, cause in enumerate(causes)]


def cause_line(cause: Cause, by: str = "") -> str:
    """A row, its effect, and the numbers it read; `by` names the edits behind it."""
    if cause.did == "prefers":
        read = ", ".join(f"{move.key} {value(move.new)} against {value(move.old)}" for move in cause.read)
    else:
        read = ", ".join(arrow(move) for move in cause.read)
    if not cause.row:
        return f"{cause.what}{f', {by}' if by else ''}"
    verb = cause.did.replace("-", " ")
    where = f" [{cause.at}]" if cause.at else ""
    return f"{cause.row} {verb} {cause.what}{f': {read}' if read else ''}{f', {by}' if by else ''}{where}"


def edit_words(edit: Edit) -> str:
    """An edit in words: a number before and after, or a row or fact with its changed fields."""
    name = edit.name if edit.section in ("thresholds", "ruleset") else f"{edit.section.removeprefix('tables/')} {edit.name}"
    if edit.action in ("added", "removed"):
        numbers = [f for f in edit.fields if f.key == "value"]
        number = f" ({value(numbers[0].new if edit.action == 'added' else numbers[0].old)})" if numbers else ""
        return f"{name} {edit.action}{number}"
    if edit.action == "moved":
        return f"{name} moved from place {edit.fields[0].old} to {edit.fields[0].new}"
    numbers = [f for f in edit.fields if f.key == "value"]
    rest = [f for f in edit.fields if f.key != "value" and not (f.key in ("source", "checked") and edit.section == "thresholds")]
    words = [f"{value(f.old)} → {value(f.new)}" for f in numbers] + ([moved(rest)] if rest else [])
    return f"{name} {', '.join(words)}".rstrip()


def authority(edit: Edit) -> str:
    """Unit, source and date of a number, with the old ones if changed."""
    changed = {f.key: f for f in edit.fields if edit.action == "changed"}
    parts = [edit.unit] if edit.unit else []
    for key, now in (("source", edit.source), ("checked", edit.checked)):
        if now is None and key not in changed:
            continue
        text = value(now)
        if key in changed:
            text = f"{value(changed[key].old)} → {text}"
        parts.append(text if key == "source" else f"checked {text}")
    return ", ".join(parts)


def effect(edit: Edit, result: Comparison) -> str:
    """The effect of an edit: the specs it changes, or none; and how many specs its row is about, in the grid too."""
    if not edit.decisive:
        return "wording only"
    names = result.affected(edit)
    if names:
        text = f"changes {listed(names)}"
    elif any(edit.id in change.edits for change in result.changes):
        text = "changes figures only"
    else:
        text = "affects no decision" if result.traced else "not traced"
    if (about := covered(edit, result)) is not None and not about.startswith(f"{len(names)} of {len(names)} "):  # more than those told already
        text = f"{text}: {about}"
    if result.grid is not None:
        count = len(result.grid.affected(edit))
        at = covered(edit, result.grid, GRID) or (f"{_specs(count, GRID)} changed" if count else "")
        text += f"; in the grid {at}" if at else ""
    return text


GRID = "deployment"
"""The word for a spec of the grid."""


def covered(edit: Edit, result: Comparison, unit: str = "spec") -> str | None:
    """How many of the specs that a changed row asks for did change, or that there is none: `0 of 1 specs with profile code changed`."""
    found = next((one for one in result.coverage if one.edit == edit.id), None)
    if found is None:
        return None
    told = [f"no {unit} has {' or '.join(found.unset)}"] if found.unset else []
    if found.cells:
        cells = " and ".join(cell_words(name, cell) for name, cell in found.cells)
        changed = set(result.affected(edit)) & set(found.specs)
        told.insert(0, f"{len(changed)} of {len(found.specs)} {unit}s with {cells} changed" if found.specs else f"no {unit} has {cells}")
    return "; ".join(told)


def cell_words(name: str, cell: object) -> str:
    """A cell of a row: `profile code or chat`, `gpus over 4`, `gpu.vendor other than nvidia`."""
    if isinstance(cell, dict):
        parts = [f"{'other than' if key == 'not' else key} {_either(bound)}" for key, bound in cell.items()]
        return f"{name} {' and '.join(parts)}"
    if isinstance(cell, bool):
        return name if cell else f"no {name}"
    return f"{name} {_either(cell)}"


def _either(words: object) -> str:
    return " or ".join(map(value, words)) if isinstance(words, list) else value(words)


def cause_of(group: Group, result: Comparison) -> str:
    """The common cause of a large group: the edits behind it, else the row of its first change."""
    first = group.changes[0]
    by = [edit_words(edit) for edit in result.edits if edit.id in first.edits]
    lines = [f"by {listed(by, 3)}"] if by else cause_lines(first, result, 1)
    return lines[0] if lines else EDITED.get(first.by, "cause unknown")


def kept_lines(result: Comparison) -> list[str]:
    """What the lock keeps against the rules, and what it cannot keep: a line each, that begins with `kept:`, `kept as before:` or `not kept:`."""
    told = [{"name": value(one.name), "state": one.state, "says": " ".join(one.says.split()), "before": one.before} for one in result.kept]
    compared = [one.files for one in result.kept if one.files is not None]
    files = [file for each in compared for file in each]
    figures = {"count": len(files), "added": sum(f.added for f in files), "removed": sum(f.removed for f in files)}
    return [line.strip() for line in render("diff/kept.j2", kept=told, files=figures if compared else None).splitlines() if line.strip()]


def listed(names: Iterable[str], most: int = 5) -> str:
    """The first names, and a count of the rest."""
    found = list(names)
    more = f" and {len(found) - most} more" if len(found) > most else ""
    return ", ".join(found[:most]) + more


def files_line(result: Comparison) -> str | None:
    """The number of changed files and lines."""
    files = [file for change in result.changes for file in change.files]
    if not files:
        return None
    specs = len({change.spec for change in result.changes if change.files})
    return f"files: {len(files)} in {_specs(specs)}, +{sum(f.added for f in files)} −{sum(f.removed for f in files)} lines"

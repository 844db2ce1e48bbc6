"""Causes of a changed decision: the rows with a different result, and the facts they read before and after; and decisions and files that a base
has committed, against what is decided now. Floor 7, pure; the texts of committed files are read when they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from generator.compare.model import (
    LAYOUT,
    Cause,
    Change,
    FileDiff,
    Kept,
    Move,
    Tool,
    View,
    decisive,
    level,
    moves,
    other_moves,
    view_of_json,
    words,
)
from generator.decide.decision import Outcome
from generator.errors import GenDeployError
from generator.plan import Candidate, Reason
from generator.render.files import artifacts
from generator.render.plan_json import plain
from generator.report.summary import unified
from generator.rulebook.book import RuleBook
from generator.rulebook.table import Row

MOST = 6
"""Maximum number of causes per change; more would only repeat them."""


def causes(old: Outcome, new: Outcome) -> tuple[Cause, ...]:
    """The rows behind a change; rows that decide the candidate come first."""
    one, other = old.plan.choice, new.plan.choice
    found: list[Cause] = []
    if one is not None and (other is None or other.id != one.id):
        found += _ruled_out(one, old, new)
    if other is not None and (one is None or other.id != one.id) and not found:
        found += _ruled_out(other, new, old, before=True)
    if one is not None and other is not None and other.id != one.id and not found:
        found += _preferred(one, other, old, new)
    if not found:
        found += _steps(old, new)
    return tuple(dict.fromkeys(found))[:MOST]


def against(one: Candidate, new: Outcome) -> tuple[Cause, ...]:
    """The rows against a choice of which only the candidate is known, such as that of another version."""
    other = new.plan.choice
    if other is not None and other.id == one.id:
        return ()
    return tuple(_ruled_out(one, new, new)) or (tuple(_preferred(one, other, new, new)) if other is not None else ())


def _ruled_out(candidate: Candidate, here: Outcome, there: Outcome, before: bool = False) -> Iterator[Cause]:
    """Causes why the choice of one outcome is not possible in the other one: no longer, or not `before`."""
    reasons, book = _reasons(candidate, there), here.context.book
    if reasons is None and all(r.candidate.id != candidate.id for r in there.ranked):
        yield Cause("consider", "", "considers", f"{candidate.id} is {'a new' if before else 'no longer a'} candidate")
    facts = next((r.facts for r in here.ranked if r.candidate.id == candidate.id), here.plan.facts)
    for reason in reasons or ():
        mine = {name: book.threshold(name)["value"] if name in book.thresholds else _plain(facts.get(name)) for name in reason.read}
        sides = [(name, mine[name], _plain(read.value)) for name, read in reason.read.items()]
        read = tuple(Move(name, *((theirs, ours) if before else (ours, theirs))) for name, ours, theirs in sides)
        yield Cause("reject", reason.row, "no-longer-rejects" if before else "rejects", candidate.id, read, reason.because, reason.at)


def _reasons(candidate: Candidate, outcome: Outcome) -> tuple[Reason, ...] | None:
    """The reasons of an outcome to reject a candidate; None if it does not. Impossible pairs are rejected before the split over GPUs."""
    whole = None
    for rejection in outcome.plan.rejected:
        other = rejection.candidate
        if other.id == candidate.id:
            return rejection.reasons
        if (other.engine, other.method) == (candidate.engine, candidate.method) and other.memory is None:
            whole = rejection.reasons
    if any(r.candidate.id == candidate.id for r in outcome.ranked):
        return None
    return whole


def _plain(value: object) -> object:
    return sorted(value, key=str) if isinstance(value, frozenset | set) else value


def _preferred(one: Candidate, other: Candidate, old: Outcome, new: Outcome) -> Iterator[Cause]:
    row = _deciding_criterion(one, other, new)
    if row is None:
        return
    name = row.rank.name if row.rank else row.order[0] if row.order else ""
    facts = {r.candidate.id: r.facts for r in new.ranked}
    before = _deciding_criterion(other, one, old)
    was = f", {before.id} decided before" if before is not None and before.id != row.id else ""
    yield Cause(
        "prefer", row.id, "prefers", f"{other.id} to {one.id}{was}",
        (Move(name, _plain(facts[one.id].get(name)), _plain(facts[other.id].get(name))),), row.because, row.at,
    )  # fmt: skip


def _deciding_criterion(one: Candidate, other: Candidate, outcome: Outcome) -> Row | None:
    known = {r.candidate.id: r for r in outcome.ranked}
    if one.id not in known or other.id not in known:
        return None
    return outcome.contests.deciding(known[one.id], known[other.id])


def _steps(old: Outcome, new: Outcome) -> Iterator[Cause]:
    """Rows of defaults, fits and settings that set other values."""
    books = old.context.book, new.context.book
    one, other = _setting(old), _setting(new)
    for key in dict.fromkeys([*one, *other]):
        was, now = one.get(key), other.get(key)
        if was == now:
            continue
        table, row = key
        come, gone = dict(now or {}), dict(was or {})
        changed = {k for k in {*come, *gone} if come.get(k) != gone.get(k)}
        book = books[1] if now is not None else books[0]
        entry = next((r for r in book.tables[table].rows if r.id == row), None) if table in book.tables else None
        what = ", ".join(sorted(changed)) if now is None or was is None else moved_words(gone, come, changed)
        read = tuple(_numbers(entry, changed, *books)) if entry else ()
        yield Cause(table, row, "no-longer-sets" if now is None else "sets", what, read, entry.because if entry else "", entry.at if entry else "")


def _setting(outcome: Outcome) -> dict[tuple[str, str], Mapping[str, object]]:
    return {(t.step, t.row): t.did.get("set") or {} for t in outcome.plan.trace if t.step not in ("reject", "prefer")}


def moved_words(old: Mapping[str, object], new: Mapping[str, object], keys: set[str]) -> str:
    """The values that a row sets, before and after."""
    return ", ".join(f"{key} {old.get(key)} → {new.get(key)}" for key in sorted(keys))


def _numbers(row: Row, keys: set[str], old: RuleBook, new: RuleBook) -> Iterator[Move]:
    for key in sorted(keys):
        word = row.set.get(key)
        if isinstance(word, str) and (word in new.thresholds or word in old.thresholds):
            yield Move(word, old.thresholds.get(word, {}).get("value"), new.thresholds.get(word, {}).get("value"))


LEFT_OUT = ("plan.json", "PLAN.md")
"""Excluded files: they contain the rule set's digest and figures and always change; decisions are compared instead."""
MOST_LINES = 200
"""Maximum number of diff lines kept per file."""


def file_diffs(one: Mapping[str, str], other: Mapping[str, str]) -> tuple[FileDiff, ...]:
    """The changes of launch files, by path."""
    found = []
    for path in sorted({*one, *other}):
        before, after = one.get(path), other.get(path)
        if before == after:
            continue
        lines = unified(before, after, path, path)
        state = "new" if before is None else "gone" if after is None else "changed"
        added = sum(line.startswith("+") for line in lines[2:])
        removed = sum(line.startswith("-") for line in lines[2:])
        more = [f"… {len(lines) - MOST_LINES} lines more"] if len(lines) > MOST_LINES else []
        found.append(FileDiff(path, state, (*lines[:MOST_LINES], *more), added, removed))
    return tuple(found)


def texts_of(outcome: Outcome | None, back: str = "..") -> Mapping[str, str]:
    """The launch files of a decision by path (`back` as for `artifacts`); none if nothing fits or no files can be written (an engine version without facts)."""
    if outcome is None or outcome.plan.choice is None or outcome.context.book.sizing != "detailed":
        return {}
    spec = outcome.context.spec
    try:
        made = artifacts(outcome.plan, [outcome.plan.choice], outcome.context.book, spec_file=spec.document.name.rpartition("/")[2], back=back)
    except GenDeployError:
        return {}
    return {a.path: a.text for a in made if a.path not in LEFT_OUT}


class Stored(NamedTuple):
    """What a base has committed for one spec: its plan, the texts of its files by path, and the way back from their folder to the spec's."""

    plan: View
    texts: Callable[[], Mapping[str, str]]
    back: str
    tool: Tool


def by_tool(name: str, path: str, stored: Stored, now: Outcome | None, seen: View | None, problem: str | None) -> Change | None:
    """The change that neither rules nor spec explain: from what is committed to what this version decides for the same spec and rules."""
    before = view_of_json(stored.plan)
    choice, found = before["choice"], (seen or {}).get("choice")
    if choice and found:  # a key that only one version writes is no decision
        before = {**before, "choice": {key: choice.get(key, value) for key, value in found.items()}}
    after = {**seen, "alternatives": []} if seen is not None else None
    how = level(before, after)
    if how is None or how == "wording":
        return None
    told = (moves(before["choice"], found) or other_moves(before, after or {})) if choice and found else []
    why = (_origin(stored, now), *(against(_candidate(choice), now) if choice and now else ()))
    files = file_diffs(_comparable(stored, found), texts_of(now, stored.back)) if decisive(how) else ()
    return Change(name, path, how, "tool", words(choice), words(found), tuple(told), why[:MOST], (), files, problem)


def _origin(stored: Stored, now: Outcome | None) -> Cause:
    """Why a committed decision is another one: the version, its rules, or files that were not written again after a change."""
    tool = stored.tool
    stale = Cause("committed", "", "considers", f"the files of {tool.label} were not up to date")
    rules = (stored.plan.get("rules") or {}).get("name")
    if now is not None and (rules != now.plan.rules_name or not _agree(stored.plan.get("spec"), plain(dict(now.plan.spec)))):
        return stale
    if tool.old != tool.new:
        return Cause("tool", "", "considers", f"gen-deploy {tool.old} → {tool.new}" if tool.old else f"an earlier gen-deploy → {tool.new}")
    if tool.rules[0] != tool.rules[1]:
        return Cause("tool", "", "considers", f"gen-deploy {tool.new}, its rules {tool.rules[0]} → {tool.rules[1]}")
    return stale


def _agree(one: object, other: object, key: str = "") -> bool:
    """Whether two specs say the same, as far as both versions write it; pins are the user's alone."""
    if isinstance(one, Mapping) and isinstance(other, Mapping) and key != "pin":
        return all(_agree(one[name], other[name], name) for name in one.keys() & other.keys())
    return one == other


def _candidate(choice: View) -> Candidate:
    """A stored choice, as far as the rules that are against it go by it."""
    tensors, stages, copies = (choice.get(key) or 1 for key in LAYOUT)
    return Candidate(choice["engine"], "", choice["quantization"], 0, None, "", None, None, "", "", tensors, stages, copies)


def _comparable(stored: Stored, found: View | None) -> Mapping[str, str]:
    """The committed files of the engines that are compared; `--all-engines` writes others."""
    engines = {one["engine"] for one in (stored.plan["choice"], found) if one}
    return {path: text for path, text in stored.texts().items() if "/" not in path or path.split("/")[0] in engines}


def kept(name: str, stored: Stored | None, before: View | None, now: Outcome | None, moved: bool) -> Kept | None:
    """What the lock keeps of a decision against the rules, or cannot keep; `before` is the view of the base, `moved` whether the decision changes."""
    warning = next((one for one in now.plan.warnings if "lock.state" in one.read), None) if now is not None else None
    if now is None or warning is None:
        return None
    told = {one["id"] for one in (stored.plan if stored is not None else before or {}).get("warnings") or []}
    state, says = str(warning.read["lock.state"].value), warning.because.partition(": ")[2] or warning.because
    if stored is None or moved or warning.row in told:
        return Kept(name, state, says, warning.row in told, None)
    choice = stored.plan["choice"]
    return Kept(name, state, says, False, file_diffs(_comparable(stored, choice), texts_of(now, stored.back)))

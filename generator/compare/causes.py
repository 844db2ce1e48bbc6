"""Causes of a changed decision: the rows with a different result, and the facts they read before and after. Floor 7, pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from generator.compare.model import Cause, Move
from generator.decide.decision import Outcome
from generator.plan import Candidate, Reason
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

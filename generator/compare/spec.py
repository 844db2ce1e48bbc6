"""One spec under two rule sets: its changes and their causes. Floor 7, pure but for the files that the spec names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from generator.compare.causes import Stored, by_tool, causes, file_diffs, kept, texts_of
from generator.compare.edits import laid_over
from generator.compare.model import (
    Change,
    Edit,
    Figures,
    Kept,
    Move,
    View,
    decisive,
    figures,
    level,
    moves,
    other_moves,
    view,
    view_of_json,
    words,
)
from generator.decide.decision import Outcome, decide
from generator.errors import InputError, Problem
from generator.report.speed import Price
from generator.rulebook.book import RuleBook
from generator.rulebook.table import Facts
from generator.spec.deployment import DeploymentSpec


class Side(NamedTuple):
    """The result of a rule set for a spec: a decision, or the reason why it cannot be planned."""

    outcome: Outcome | None
    view: View | None
    problem: str | None


def side(spec: DeploymentSpec, book: RuleBook) -> Side:
    """Decide a spec for comparison."""
    try:
        outcome = decide(spec, book)
    except InputError as error:
        return Side(None, None, "; ".join(f"{p.code}: {_inside(spec, p)}{p.message}" for p in error.problems))
    return Side(outcome, view(outcome.plan), None)


def _inside(spec: DeploymentSpec, problem: Problem) -> str:
    return f"{problem.place.path}: " if problem.place is not None and problem.place.path != spec.document.name else ""


class Compared(NamedTuple):
    """The comparison of one spec: its changes, why it cannot be planned now, its figures before and after, the names that it gives the rules.

    `kept` is what its lock keeps, or cannot keep."""

    changes: tuple[Change, ...]
    problem: str | None
    figures: tuple[Figures, Figures]
    facts: Facts | None
    kept: Kept | None


class Was(NamedTuple):
    """What a base has of a spec: its old version, if the spec was edited (or only what the lock says of it), and what is committed for it."""

    spec: DeploymentSpec | None = None
    edited: str = "spec"
    stored: Stored | None = None


def compared(spec: DeploymentSpec, base: Was, books: tuple[RuleBook, RuleBook], path: str, prices: Mapping[str, Price]) -> Compared:
    """A spec under the old and the new rules; its old version is compared under the new rules, what is committed for that with the old rules."""
    before, edited, stored = base
    same = books[0] is books[1]
    new = side(spec, books[1])
    old = new if same else side(spec, books[0])
    was = side(before, books[1]) if before else new
    first = old if before is None else was if same else side(before, books[0])
    changes = [] if same else [change(spec, path, "rules", old, new)]
    changes += [change(spec, path, edited, was, new)] if before else []
    if stored is not None and (same or new.problem is None):
        changes.append(by_tool(spec.name, path, stored, first.outcome, first.view, first.problem))
    found = tuple(one for one in changes if one is not None)
    outcome = new.outcome or old.outcome
    return Compared(
        found, None if same else new.problem,
        (figures(view_of_json(stored.plan) if stored else first.view, prices), figures(new.view, prices)),
        outcome.plan.facts if outcome else None,
        kept(spec.name, stored, first.view, new.outcome, any(one.decisive for one in found)),
    )  # fmt: skip


def change(spec: DeploymentSpec, path: str, by: str, one: Side, other: Side) -> Change | None:
    """The change from one side to the other; None if they agree."""
    if one.problem is not None and other.problem is not None:
        return None
    found = level(one.view, other.view)
    if found is None:  # nothing fits on one side, and on the other the spec cannot even be planned, or they agree
        unplanned = (one.problem is None) is not (other.problem is None)
        return Change(spec.name, path, "warnings", by, None, None, problem=other.problem or one.problem) if unplanned else None
    old_choice, new_choice = (one.view or {}).get("choice"), (other.view or {}).get("choice")
    told: list[Move] = []
    if old_choice and new_choice:
        told = moves(old_choice, new_choice) or other_moves(one.view or {}, other.view or {})
    why = causes(one.outcome, other.outcome) if one.outcome and other.outcome and by == "rules" else ()
    diffs = file_diffs(texts_of(one.outcome), texts_of(other.outcome)) if decisive(found) else ()
    return Change(
        spec.name, path, found, by, words(old_choice), words(new_choice), tuple(told), why, (), diffs, other.problem or one.problem
    )


def relevant(edit: Edit, spec: DeploymentSpec, old: RuleBook, new: RuleBook) -> bool:
    """Whether an edit can affect a spec: an entry of another GPU or model cannot."""
    if not edit.decisive:
        return False
    if edit.section not in ("gpus", "models"):
        return True
    word = spec.model.id if edit.section == "models" else None if spec.hardware.gpus else spec.hardware.gpu
    if not isinstance(word, str) or edit.action != "changed":
        return True
    from generator.errors import fold

    names = {book.index(edit.section).get(fold(word)) for book in (old, new)}
    fallback = {book.fallback(edit.section.removesuffix("s")) for book in (old, new)}
    return edit.name in names | fallback or names == {None}


def attributed(found: Change, spec: DeploymentSpec, old: RuleBook, new: RuleBook, edits: Sequence[Edit]) -> Change:
    """The change with its causing edits: each applied alone to the old rules, else each removed from the new rules."""
    mine = [edit for edit in edits if relevant(edit, spec, old, new)]
    if len(mine) <= 1:
        return replace(found, edits=tuple(edit.id for edit in mine))
    before, after = side(spec, old), side(spec, new)
    guilty = [e for e in mine if _differs(before, side(spec, _book(old, new, e)))]
    if not guilty:
        guilty = [e for e in mine if _differs(after, side(spec, _book(new, old, e)))]
    return replace(found, edits=tuple(edit.id for edit in guilty))


def _differs(one: Side, other: Side) -> bool:
    return (one.problem is None) is not (other.problem is None) or decisive(level(one.view, other.view))


_books: dict[tuple[int, int, str, str], RuleBook] = {}


def _book(base: RuleBook, other: RuleBook, edit: Edit) -> RuleBook:
    key = (id(base), id(other), edit.section, edit.name)
    if key not in _books:
        _books[key] = laid_over(base, other, [edit])
    return _books[key]

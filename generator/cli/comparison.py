"""Compare a corpus of specs under two rule sets. Floor 8: uses all available processors."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import field, replace

from generator.cli import pool
from generator.cli.options import twice
from generator.cli.revisions import LOCKED, Side
from generator.cli.stored import stored_of
from generator.compare.coverage import coverage, probes
from generator.compare.edits import edits
from generator.compare.model import Change, Comparison, Edit, RulesName, in_order
from generator.compare.spec import Compared, Was, attributed, relevant
from generator.compare.spec import compared as compared_spec
from generator.compare.view import totals
from generator.errors import InputError, Problem
from generator.record import dataclass
from generator.report.speed import Price
from generator.rulebook.book import SECTIONS, RuleBook
from generator.spec.deployment import DeploymentSpec

TRIALS = 400
"""Budget of decisions for tracing changes to edits; further changes are explained by their rows only."""


@dataclass(frozen=True)
class Corpus:
    """Specs by path. `before` holds what a base has of those that were edited, or whose decision it keeps; `added` and `removed` are paths."""

    specs: Mapping[str, DeploymentSpec]
    before: Mapping[str, Was] = field(default_factory=dict)
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()

    @classmethod
    def of_sides(cls, old: Side, new: Side, named: list[str]) -> tuple[Corpus, list[Problem]]:
        """The corpus of the new side, matched with the specs of the old one; and the problems of its specs."""
        paths = list(dict.fromkeys(named)) or new.corpus()
        missing = [Problem("unreadable", f"{new.label} has no file {path!r}") for path in paths if not new.holds(path)]
        if missing and named:
            raise InputError(missing)
        try:
            earlier = [path for path in named if old.holds(path)] if named else old.corpus() if old.project else [p for p in paths if old.holds(p)]
        except InputError:
            earlier = [path for path in paths if old.holds(path)]  # the old project file matched nothing, or was invalid
        old.fetch(earlier)
        new.fetch(paths)
        specs: dict[str, DeploymentSpec] = {}
        before: dict[str, Was] = {}
        problems: list[Problem] = []
        for path in paths:
            try:
                specs[path] = new.spec(path)
            except InputError as error:
                problems += error.problems
        problems += twice(specs.values())
        for path in earlier:
            if path in specs:
                edited = [one != other for one, other in zip(old.bytes_of(path, specs[path]), new.bytes_of(path, specs[path]), strict=True)]
                if any(edited):
                    with suppress(InputError):  # invalid before; only the new version counts
                        before[path] = Was(old.spec(path), "spec" if any((*edited[:LOCKED], *edited[LOCKED + 1 :])) else "lock")
        added = () if named else tuple(path for path in paths if path not in earlier)
        removed = () if named else tuple(path for path in earlier if path not in paths)
        return cls(specs, before, added, removed), problems

    def with_stored(self, old: Side, book: RuleBook) -> tuple[Corpus, list[Problem]]:
        """The corpus with what the old side has committed for its specs; and a warning for each plan that cannot be read."""
        stored, problems = stored_of(old, book)
        before = dict(self.before)
        for path, spec in self.specs.items():
            was = before.get(path, Was())
            name = (was.spec or spec).name
            if name in stored and path not in self.added:
                back = posixpath.relpath(posixpath.dirname(path) or ".", f"{old.out}/{name}/engine")  # as the main job writes it
                before[path] = was._replace(stored=stored[name]._replace(back=back))
        return replace(self, before=before), problems


def compared(
    old: tuple[str, RuleBook], new: tuple[str, RuleBook], corpus: Corpus, prices: Mapping[str, Price]
) -> tuple[Comparison, list[Problem]]:
    """Compare two rule sets (label and book) over a corpus; with the problems of specs that the new one cannot plan."""
    (old_label, one), (new_label, other) = old, new
    for book in (one, other):
        for name in SECTIONS:  # before forking
            book.section(name)
    same = one.digest == other.digest
    found = [] if same else edits(one, other)
    paths = [path for path in corpus.specs if not same or path in corpus.before]

    def work(path: str) -> Compared:
        return compared_spec(corpus.specs[path], corpus.before.get(path, Was()), (other if same else one, other), path, prices)

    results = dict(zip(paths, pool.each(work, paths), strict=True))
    changes = in_order([change for result in results.values() for change in result.changes])
    problems = [Problem("cannot-plan", r.problem, corpus.specs[path].document.place()) for path, r in results.items() if r.problem is not None]
    changes, traced = _attributed(changes, corpus, one, other, found)
    names = {path: corpus.specs[path].name for path in paths}
    result = Comparison(
        RulesName(old_label, one.name, one.digest), RulesName(new_label, other.name, other.digest),
        len(corpus.specs), tuple(changes), tuple(found), corpus.added, corpus.removed, len(problems), traced,
        totals(((names[path], *r.figures) for path, r in results.items()), prices),
        coverage(probes(found, one, other), {names[path]: r.facts for path, r in results.items() if r.facts is not None}),
        tool=next((was.stored.tool for was in corpus.before.values() if was.stored is not None), None),
        kept=tuple(r.kept for r in results.values() if r.kept is not None),
    )  # fmt: skip
    return result, problems


def _attributed(changes: list[Change], corpus: Corpus, old: RuleBook, new: RuleBook, found: list[Edit]) -> tuple[list[Change], bool]:
    """The changes with their causing edits, most severe first, within the budget of trials."""
    left, chosen = TRIALS, set()
    traced = True
    for i, change in enumerate(changes):
        if change.by == "rules" and change.decisive:
            candidates = sum(relevant(edit, corpus.specs[change.spec], old, new) for edit in found)
            cost = 2 * candidates + 2 if candidates > 1 else 0
            if cost <= left:
                left -= cost
                chosen.add(i)
            else:
                traced = False

    def work(i: int) -> Change:
        return attributed(changes[i], corpus.specs[changes[i].spec], old, new, found)

    done = dict(zip(sorted(chosen), pool.each(work, sorted(chosen)), strict=True))
    return [done.get(i, change) for i, change in enumerate(changes)], traced

"""Compare a corpus of specs under two rule sets, or two folders of stored plans.

Floor 8: uses all available processors.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from generator.cli import pool
from generator.cli.revisions import Side
from generator.compare.causes import causes_by_trace
from generator.compare.edits import edits
from generator.compare.model import Change, Comparison, Edit, RulesName, in_order
from generator.compare.spec import attributed, edited, relevant
from generator.compare.spec import compared as compared_spec
from generator.compare.view import View, level, moves, other_moves, view_of_json, words
from generator.errors import InputError, Place, Problem, fail
from generator.readers.document import MAX_CONFIG_BYTES, read_bytes
from generator.readers.json_text import parse_or_none
from generator.render.plan_json import SCHEMA_VERSION
from generator.rulebook.book import SECTIONS, RuleBook
from generator.spec.deployment import DeploymentSpec

TRIALS = 400
"""Budget of decisions for tracing changes to edits; further changes are explained by their rows only."""


@dataclass(frozen=True)
class Corpus:
    """Specs by path. `before` holds the old versions of edited specs; `added` and `removed` are paths."""

    specs: Mapping[str, DeploymentSpec]
    before: Mapping[str, DeploymentSpec] = field(default_factory=dict)
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
        before: dict[str, DeploymentSpec] = {}
        problems: list[Problem] = []
        for path in paths:
            try:
                specs[path] = new.spec(path)
            except InputError as error:
                problems += error.problems
        problems += _twice(specs)
        for path in earlier:
            if path in specs and old.bytes_of(path, specs[path]) != new.bytes_of(path, specs[path]):
                was = _readable(old, path)
                if was is not None:
                    before[path] = was
        added = () if named else tuple(path for path in paths if path not in earlier)
        removed = () if named else tuple(path for path in earlier if path not in paths)
        return cls(specs, before, added, removed), problems


def _readable(side: Side, path: str) -> DeploymentSpec | None:
    try:
        return side.spec(path)
    except InputError:
        return None  # invalid before; only the new version counts


def _twice(specs: Mapping[str, DeploymentSpec]) -> list[Problem]:
    names: dict[str, str] = {}
    found = []
    for path, spec in specs.items():
        if names.setdefault(spec.name, path) != path:
            found.append(Problem("duplicate-name", f"{names[spec.name]} has the name {spec.name!r} too", spec.document.place(("name",))))
    return found


class _Item(NamedTuple):
    path: str
    spec: DeploymentSpec
    before: DeploymentSpec | None


def compared(old: tuple[str, RuleBook], new: tuple[str, RuleBook], corpus: Corpus) -> tuple[Comparison, list[Problem]]:
    """Compare two rule sets (label and book) over a corpus; with the problems of specs that the new one cannot plan."""
    (old_label, one), (new_label, other) = old, new
    for book in (one, other):
        for name in SECTIONS:  # before forking
            book.section(name)
    same = one.digest == other.digest

    def work(item: _Item) -> tuple[Change | None, Change | None, str | None]:
        by_rules, problem = (None, None) if same else compared_spec(item.spec, one, other, item.path)
        by_spec = edited(item.before, item.spec, other, item.path) if item.before else None
        return by_rules, by_spec, problem

    items = [_Item(path, spec, corpus.before.get(path)) for path, spec in corpus.specs.items() if not same or path in corpus.before]
    changes: list[Change] = []
    problems: list[Problem] = []
    for item, (by_rules, by_spec, problem) in zip(items, pool.each(work, items), strict=True):
        changes += [change for change in (by_rules, by_spec) if change is not None]
        if problem is not None:
            problems.append(Problem("cannot-plan", problem, item.spec.document.place()))
    found = [] if same else edits(one, other)
    changes, traced = _attributed(in_order(changes), corpus, one, other, found)
    names = RulesName(old_label, one.name, one.digest), RulesName(new_label, other.name, other.digest)
    result = Comparison(
        *names, len(corpus.specs), tuple(changes), tuple(found), corpus.added, corpus.removed, len(problems), traced
    )
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


Plans = Mapping[str, View]
"""Stored plans by spec name."""


def keeps_plans(folder: str) -> bool:
    """Whether a folder holds generated files."""
    return any(Path(folder).glob("*/plan.json"))


def plans_in(folder: Path) -> Plans:
    """The plans stored in an output folder, by spec name; raises `InputError` for an invalid plan."""
    return _plans({str(path): read_bytes(path, MAX_CONFIG_BYTES) for path in sorted(folder.glob("*/plan.json"))}, str(folder))


def plans_of(side: Side) -> Plans:
    """The plans stored in a project's output folder; raises `InputError` without a project file or plans."""
    if side.project is None:
        raise InputError(Problem("no-project", f"{side.label} has no project file that names the output folder"))
    out = "/".join(part for part in (side.root, side.project.out) if part)
    if side.commit is None:
        return plans_in(side.project.out_folder)
    kept = [PurePosixPath(path) for path in side.entries if path.startswith(f"{out}/") and path.endswith("/plan.json")]
    paths = {str(path): side.entries[str(path)].sha for path in kept if str(path.parent.parent) == out}
    raw = side.repo.contents(paths.values())
    return _plans({f"{side.label}:{name}": raw[sha] for name, sha in paths.items()}, f"{side.label}:{out}")


def _plans(files: Mapping[str, bytes], where: str) -> Plans:
    """The plans of these files, by the folder that each is in."""
    found: dict[str, View] = {}
    problems = []
    for name, raw in files.items():
        data = parse_or_none(raw)
        version = data.get("schema_version") if isinstance(data, dict) else None
        if isinstance(version, int) and version != SCHEMA_VERSION:
            message = f"schema_version is {version}, but this gen-deploy reads {SCHEMA_VERSION}: compare with the gen-deploy version that wrote the plan"
            problems.append(Problem("unknown-schema", message, Place(name, 1, 1)))
        elif isinstance(version, int) and "choice" in data:
            found[PurePosixPath(name).parent.name] = data
        else:
            problems.append(Problem("no-plan", "not a plan written by gen-deploy", Place(name, 1, 1)))
    if problems:
        raise InputError(problems)
    if not found:
        raise fail("no-plans", f"{where} contains no plans (files NAME/plan.json)")
    return found


def compared_plans(labels: tuple[str, str], old: Plans, new: Plans) -> Comparison:
    """Compare stored plans; rows and numbers as far as their traces show."""
    changes = []
    for name in sorted(old.keys() & new.keys()):
        try:
            change = _of_plans(name, old[name], new[name])
        except (AttributeError, KeyError, TypeError, ValueError):  # valid JSON of an unknown author
            raise fail("no-plan", f"{name}/plan.json: one of the two files does not have the form of a plan") from None
        changes += [change] if change is not None else []
    names = [_rules_name(label, plans) for label, plans in zip(labels, (old, new), strict=True)]
    added, removed = tuple(sorted(new.keys() - old.keys())), tuple(sorted(old.keys() - new.keys()))
    return Comparison(names[0], names[1], len(new), tuple(in_order(changes)), (), added, removed)


def _of_plans(name: str, old: View, new: View) -> Change | None:
    one, other = view_of_json(old), view_of_json(new)
    how = level(one, other)
    if how is None:
        return None
    before, after = one["choice"], other["choice"]
    told = (moves(before, after) or other_moves(one, other)) if before and after else []
    why = causes_by_trace(one, other)
    return Change(name, f"{name}/plan.json", how, "rules", words(before), words(after), tuple(told), why)


def _rules_name(label: str, plans: Plans) -> RulesName:
    rules = [plan.get("rules") or {} for plan in plans.values()]
    digests = sorted({str(r.get("digest")) for r in rules})
    return RulesName(label, ", ".join(sorted({str(r.get("name")) for r in rules})), digests[0] if len(digests) == 1 else "several digests")

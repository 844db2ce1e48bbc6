"""Compare a corpus of specs under two rule sets, and with what a base has committed. Floor 8: uses all available processors by forks, so that
rule sets are read once; without fork, a single process does all the work."""

from __future__ import annotations

import multiprocessing
import os
import posixpath
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import field, replace
from functools import partial
from pathlib import PurePosixPath
from typing import Any, TypeVar

from generator import __version__
from generator.cli.options import twice
from generator.cli.output import progress
from generator.cli.revisions import LOCKED, Side
from generator.compare.causes import LEFT_OUT, Stored
from generator.compare.edits import coverage, edits, probes
from generator.compare.model import Change, Comparison, Edit, RulesName, Tool, in_order, totals
from generator.compare.spec import Compared, Was, attributed, relevant
from generator.compare.spec import compared as compared_spec
from generator.disk.write import RUN
from generator.disk.written import MANIFEST
from generator.errors import InputError, Place, Problem
from generator.readers.document import MAX_CONFIG_BYTES
from generator.readers.json_text import parse_or_none
from generator.record import dataclass
from generator.render.plan_json import SCHEMA_VERSION
from generator.report.speed import Price
from generator.rulebook.book import SECTIONS, RuleBook
from generator.rulebook.schemas import accepts, schema
from generator.spec.deployment import DeploymentSpec

Item = TypeVar("Item")
Result = TypeVar("Result")

WORTH = 16
"""Minimum items per process: fewer finish before a new process has started."""

_work: Callable[[int], object] | None = None


def each(function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """`function` of every item, in order. Results are sent between processes, so they must be plain data."""
    global _work
    processes = min(processors(), len(items) // WORTH)
    if processes < 2 or sys.platform != "linux":
        return [function(item) for item in progress(items, "decisions")]
    _work = lambda index: function(items[index])  # noqa: E731
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGHUP})  # only this process handles them and ends the others
    try:
        with multiprocessing.get_context("fork").Pool(processes, signal.signal, (signal.SIGTERM, signal.SIG_DFL)) as pool:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            return list(progress(pool.imap(_one, range(len(items)), chunksize=4), "decisions", len(items)))
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        _work = None


def _one(index: int) -> Any:
    assert _work is not None
    return _work(index)


def processors() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


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

    results = dict(zip(paths, each(work, paths), strict=True))
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

    done = dict(zip(sorted(chosen), each(work, sorted(chosen)), strict=True))
    return [done.get(i, change) for i, change in enumerate(changes)], traced


MAX_FILES_BYTES = 4 << 20
"""The committed files of one spec that are compared at most."""


def stored_of(side: Side, book: RuleBook) -> tuple[dict[str, Stored], list[Problem]]:
    """What a commit has in its output folder, by spec name; with a warning for each plan that cannot be read.

    Nothing where the project's own rules do not decide what is written (they size by a rule of thumb)."""
    if side.project is None or book.sizing != "detailed":
        return {}, []
    kept = [path for path in side.entries if path.endswith("/plan.json") and posixpath.dirname(posixpath.dirname(path)) == side.out]
    plans, problems = _plans(_contents(side, kept), side.label)
    made = parse_or_none(_contents(side, [f"{side.out}/{RUN}"]).get(f"{side.out}/{RUN}", b""))
    made = made if isinstance(made, dict) else {}
    version, rules = str(made.get("generator") or "").removeprefix("gen-deploy ") or None, made.get("rules")
    tool = Tool(side.label, version, __version__, (str(rules.get("digest")) if isinstance(rules, dict) else None, book.digest))
    return {name: Stored(plan, partial(_texts, side, name), "", tool) for name, plan in plans.items()}, problems


def _texts(side: Side, name: str) -> dict[str, str]:
    """The committed launch files of a spec, by path below its folder; none where they are too large to be ours."""
    folder = f"{side.out}/{name}/"
    paths = [path for path in side.entries if path.startswith(folder) and path.removeprefix(folder) not in (*LEFT_OUT, MANIFEST)]
    if side.repo.size(side.entries[path].sha for path in paths) > MAX_FILES_BYTES:
        return {}
    return {path.removeprefix(folder): raw.decode("utf-8", "replace") for path, raw in _contents(side, paths).items()}


def _contents(side: Side, paths: list[str]) -> dict[str, bytes]:
    known = {path: side.entries[path].sha for path in paths if path in side.entries}
    raw = side.repo.contents(known.values())
    return {path: raw[sha] for path, sha in known.items()}


def _plans(files: Mapping[str, bytes], label: str) -> tuple[dict[str, Mapping[str, object]], list[Problem]]:
    """The plans of a commit's files by the folder that each is in, and a warning for each of the others."""
    found: dict[str, Mapping[str, object]] = {}
    problems = []
    for path, raw in files.items():
        place = Place(f"{label}:{path}", 1, 1)
        data = parse_or_none(raw) if len(raw) <= MAX_CONFIG_BYTES else None
        version = data.get("schema_version") if isinstance(data, dict) else None
        if isinstance(version, int) and version != SCHEMA_VERSION:
            message = f"schema_version is {version}, but this gen-deploy reads {SCHEMA_VERSION}: compare with the gen-deploy version that wrote the plan"
            problems.append(Problem("unknown-schema", message, place, "warning"))
        elif isinstance(data, dict) and accepts(schema("plan"), data):
            found[PurePosixPath(path).parent.name] = data
        else:
            problems.append(Problem("no-plan", "not a plan written by gen-deploy", place, "warning"))
    return found, problems

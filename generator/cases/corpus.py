"""The specs for examining a rule set: its cases, and the examples or the project's specs. Floor 7; reads the specs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from generator.cases.case import Case, case_files, read_cases
from generator.cases.compare import Result, run
from generator.cases.observed import Observed, observe
from generator.errors import GenDeployError
from generator.rulebook.book import RuleBook
from generator.rulebook.rulesets import root_of
from generator.spec.deployment import read_spec
from generator.spec.project import Project

EXAMPLES = "examples"
POLICIES = "policies"


def example_files(rules: Path, project: Project | None = None) -> list[Path]:
    """Example specs of a rule set: the project's, and the examples beside the rules for a set within a rules folder."""
    found: list[Path] = []
    if project is not None:
        found += project.spec_files()
    root = root_of(rules).resolve()
    if rules.resolve().parent == root:
        folder = root.parent / EXAMPLES
        found += [path for path in sorted(folder.rglob("*.yaml")) if POLICIES not in path.relative_to(folder).parts]
    return list({path.resolve(): path for path in found}.values())


def without_cases(rules: Path) -> bool:
    """Whether a set within a rules folder has no cases, as in an installation: only the repository contains them."""
    return rules.resolve().parent == root_of(rules).resolve() and not case_files(rules)


def examples_seen(paths: Iterable[Path], book: RuleBook) -> Iterator[tuple[Path, Observed]]:
    """The decision of each valid example spec."""
    for path in paths:
        try:
            spec = read_spec(path)
        except GenDeployError:
            continue
        yield path, observe(spec, book)


def cases_run(rules: Path, book: RuleBook, watched: Callable[[list[Case], str], Iterable[Case]] = lambda cases, what: cases) -> list[Result]:
    """Every case of a rule set, run, as `watched` hands them on; raises `InputError` for an invalid case."""
    return [run(case, book) for case in watched(read_cases(case_files(rules)), "cases")]

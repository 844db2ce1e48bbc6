"""Cases as files: a list of `id`, `given` (a spec) and `expect`, each with the positions of its parts.

Floor 7; reads the case files of a rule set. Cases of a shipped set are in `tests/cases/<name>/` beside the rules, of any other set in `cases/` in
its own folder. Files named by a case's spec are in `files/` beside the case file."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from generator.errors import InputError, Place, Problem, fail
from generator.hub.lock import read_lock
from generator.readers.document import Document, KeyPath, read_yaml
from generator.readers.resources import checkout, lies_in, readable_from, shown
from generator.record import dataclass
from generator.rulebook.renamed import all_renamed
from generator.rulebook.rulesets import CASES, MAX_RULE_BYTES, root_of
from generator.rulebook.schemas import problems_of
from generator.spec.deployment import DeploymentSpec, from_document

FILES = "files"
ROWS = ("rows", "trace", "warnings", "no_warnings", "rejected")
"""The expectations that name rows."""


@dataclass(frozen=True, slots=True)
class Case:
    """One case. `path` is its path within the document; `spec` parses `given` when the case runs."""

    id: str
    path: Path
    document: Document
    index: int
    given: Document

    @property
    def expect(self) -> Mapping[str, Any]:
        """The expectations, as written."""
        expected: Mapping[str, Any] = self.document.data[self.index]["expect"]
        return expected

    def place(self, *path: str | int, key: bool = False) -> Place:
        """The position of a part of `expect`; without a path, of the case."""
        base: KeyPath = (self.index,)
        return self.document.place((*base, "expect", *path) if path else base, key)

    def with_todays_rows(self, known: Collection[str]) -> Case:
        """The case with today's names of the rows that it expects, of those `known` in the rule set."""
        expect = {part: all_renamed("rows", rows, known, self.place(part)) if part in ROWS else rows for part, rows in self.expect.items()}
        data = [{**one, "expect": expect} if i == self.index else one for i, one in enumerate(self.document.data)]
        return self if expect == self.expect else replace(self, document=self.document._replace(data=data))

    def spec(self) -> DeploymentSpec:
        """The spec of the case; paths in it are relative to `files/`, where `<id>.lock` is its lock. Raises `InputError` with all its problems."""
        found, problems = from_document(self.given, self.path.parent / FILES / f"{self.id}.yaml")
        if found is None:
            raise InputError(problems)
        lock = self.path.parent / FILES / f"{self.id}.lock"
        return replace(found, within=readable_from(self.path.parent), lock=read_lock(lock) if lock.exists() else None)


def case_files(rules: Path) -> list[Path]:
    """The case files of a rule set."""
    root = root_of(rules).resolve()
    folders = [rules / CASES]
    if rules.resolve().parent == root:
        folders.append(root.parent / "tests" / CASES / rules.resolve().name)
    return [path for folder in folders for path in _yaml_in(folder)]


def _yaml_in(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.rglob("*.yaml")) if FILES not in path.relative_to(folder).parts]


def read_cases(paths: Iterable[Path]) -> list[Case]:
    """The cases of these files, in order; a folder means the files in it.

    Raises `InputError` for an invalid case, and for duplicate ids."""
    cases: list[Case] = []
    problems: list[Problem] = []
    seen: dict[str, Place] = {}
    for path in paths:
        for file in _yaml_in(path) if path.is_dir() else [path]:
            if file.is_symlink() and not lies_in(file, readable_from(checkout(file.parent))):
                raise fail("outside-project", "a case file must not be a symlink to a target outside its repository", Place(shown(file)))
            document = read_yaml(file, shown(file), MAX_RULE_BYTES)
            wrong = problems_of(document, "cases")
            problems += wrong
            for case in [] if wrong else _cases(document, file):
                if case.id in seen:
                    problems.append(Problem("duplicate-case", f"the case {case.id!r} is already defined at {seen[case.id]}", case.place()))
                seen[case.id] = case.place()
                cases.append(case)
    if problems:
        raise InputError(problems)
    return cases


def _cases(document: Document, file: Path) -> list[Case]:
    marks: dict[int, dict[KeyPath, tuple[int, int]]] = {}
    key_marks: dict[int, dict[KeyPath, tuple[int, int]]] = {}
    for source, target in ((document.marks, marks), (document.key_marks, key_marks)):
        for path, mark in source.items():
            if len(path) > 1 and path[1] == "given" and isinstance(path[0], int):
                target.setdefault(path[0], {})[path[2:]] = mark
    return [
        Case(one["id"], file, document, i, Document(document.name, one["given"], marks.get(i, {}), key_marks.get(i, {})))
        for i, one in enumerate(document.data)
    ]


def chosen(cases: Iterable[Case], words: Iterable[str]) -> list[Case]:
    """The cases whose id contains one of these words; without words, all. Raises `InputError` for a word without matches."""
    every, wanted = list(cases), list(words)
    for word in wanted:
        if not any(word in case.id for case in every):
            raise fail("unknown-case", f"no case id contains {word!r}")
    return [case for case in every if not wanted or any(word in case.id for word in wanted)]

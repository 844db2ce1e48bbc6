"""The project file `gen-deploy.yaml`: one corpus of specs, one output folder, one rule set for every command.

Floor 2; reads the project file and lists folders below it.
"""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

from generator.errors import InputError, Place, Problem, did_you_mean, fail
from generator.rulesets import SHIPPED
from generator.source import Document, decode, parse_yaml, read_bytes

FILE = "gen-deploy.yaml"
KEYS = ("specs", "out", "rules")
TREE = "rules"
"""A folder of this name that holds `vocabulary.yaml` is a whole tree of rules: `lint`, `test` and `diff` look for it."""
MAX_PROJECT_BYTES = 1 << 16
MAX_FILES = 100_000


@dataclass(frozen=True, slots=True)
class Project:
    """A project file. `folder` is where it lies; `out` and `rules` are as written, relative to that folder."""

    folder: Path
    specs: tuple[str, ...]
    out: str
    rules: str | None
    document: Document

    @property
    def out_folder(self) -> Path:
        """Where the generated files go."""
        return self.folder / self.out

    @property
    def rule_set(self) -> str | None:
        """The rule set as `load` wants it: a shipped name, or a folder; None where the project names none."""
        if self.rules is None or self.rules in SHIPPED:
            return self.rules
        return str(self.folder / self.rules)

    def spec_files(self) -> list[Path]:
        """Every file of the corpus, sorted; raises `InputError` where there is none, or a file that is named is missing."""
        found = [self.folder / name for name in self.matching(_files_below(self.folder, self.specs))]
        if not found:
            raise fail("no-specs", f"no file matches {', '.join(self.specs)}", self.document.place(("specs",)))
        return found

    def matching(self, paths: Iterable[str]) -> list[str]:
        """The specs among paths relative to the project's folder; what is generated, and the rules, are none."""
        chosen = {path for path in paths if any(matches(glob, path) for glob in self.specs) and not self._excluded(path)}
        for i, glob in enumerate(self.specs):
            if not is_glob(glob) and glob not in chosen:
                raise fail("no-specs", f"{glob!r} is not there", self.document.place(("specs", i)))
        return sorted(chosen)

    def _excluded(self, path: str) -> bool:
        if PurePosixPath(path).name == FILE or inside(path, self.out):
            return True
        return self.rules not in (None, *SHIPPED) and inside(path, str(self.rules))


def find(cwd: Path) -> Project | None:
    """The project file of a folder or of one above it, up to the root of its repository; raises `InputError` if it is wrong."""
    here = cwd.resolve()
    for folder in (here, *here.parents):
        path = folder / FILE
        if path.is_file():
            shown = os.path.relpath(path, here)
            return parse(decode(read_bytes(path, MAX_PROJECT_BYTES, shown), shown), shown, Path(os.path.relpath(folder)))
        if (folder / ".git").exists():
            return None
    return None


def parse(text: str, name: str, folder: Path) -> Project:
    """A project file from its text; raises `InputError` with every problem of it."""
    document = parse_yaml(text, name)
    data = document.data
    if not isinstance(data, dict):
        raise fail("wrong-type", f"a project file is a mapping with {', '.join(f'`{key}`' for key in KEYS)}", document.place())
    problems = [*_unknown(document), *_specs(document), *_folder(document, "out", required=True), *_folder(document, "rules")]
    if problems:
        raise InputError(sorted(problems, key=lambda p: (p.place.line, p.place.column) if p.place else (0, 0)))
    specs = data["specs"] if isinstance(data["specs"], list) else [data["specs"]]
    return Project(folder, tuple(str(PurePosixPath(s)) for s in specs), str(PurePosixPath(data["out"])), data.get("rules"), document)


def _unknown(document: Document) -> Iterator[Problem]:
    for key in document.data:
        if key not in KEYS:
            yield Problem("unknown-key", f"{key!r} is not known here{did_you_mean(key, KEYS)}", document.place((key,), key=True))


def _specs(document: Document) -> Iterator[Problem]:
    value = document.data.get("specs")
    if value is None:
        yield Problem("missing-key", "'specs' is missing: the globs of your specs", document.place())
        return
    listed = value if isinstance(value, list) else [value]
    if not listed:
        yield Problem("bad-value", "specs: at least one glob is needed", document.place(("specs",)))
    for i, glob in enumerate(listed):
        place = document.place(("specs", i)) if isinstance(value, list) else document.place(("specs",))
        yield from _path_problem("specs", glob, place, below=True)


def _folder(document: Document, key: str, required: bool = False) -> Iterator[Problem]:
    value = document.data.get(key)
    if value is None:
        if required or key in document.data:
            yield Problem("missing-key", f"{key!r} is missing", document.place())
        return
    yield from _path_problem(key, value, document.place((key,)), below=key == "out")


def _path_problem(key: str, value: Any, place: Place, below: bool) -> Iterator[Problem]:
    if not isinstance(value, str):
        yield Problem("wrong-type", f"{key}: a path is expected, not {value!r}", place)
    elif not value.strip() or not value.isprintable():
        yield Problem("bad-text", f"{key}: {value!r} is no path", place)
    elif below and (value.startswith(("/", "~")) or ".." in PurePosixPath(value).parts or str(PurePosixPath(value)) == "."):
        yield Problem("bad-path", f"{key}: {value!r} must be a path below the folder of the project file", place)


def rule_set(named: str | None, cwd: Path, tree: bool = False) -> str:
    """The rule set of a command, as `load` wants it: what was named, else the project file's, else `default`.

    `tree` (for commands about the rules themselves) takes the `default` set of a whole `./rules` before the shipped one.
    """
    if named is not None:
        return named
    project = find(cwd)
    if project is not None and project.rule_set is not None:
        return project.rule_set
    base = project.folder if project is not None else cwd
    if tree and (base / TREE / "vocabulary.yaml").is_file():
        return str(base / TREE / "default")
    return "default"


def is_glob(text: str) -> bool:
    """Whether a path holds a wildcard."""
    return any(c in text for c in "*?[")


def inside(path: str, folder: str) -> bool:
    """Whether a path lies in a folder (both relative to the same place)."""
    parts = PurePosixPath(os.path.normpath(folder)).parts
    return PurePosixPath(path).parts[: len(parts)] == parts


def matches(glob: str, path: str) -> bool:
    """Whether a path matches a glob: `**` is any number of folders; `*` and `?` stay within a name and skip hidden ones."""
    states = {0}
    tests = _tests(glob)
    parts = path.split("/")
    for i, part in enumerate(parts):
        after: set[int] = set()
        for at in _skipping(states, tests):
            if at < len(tests):
                test = tests[at]
                if test is None:
                    after |= {at} if not part.startswith(".") else set()
                    if at in after and at == len(tests) - 1 and i == len(parts) - 1:
                        return True  # a `**` at the end is every file below
                elif test(part):
                    after.add(at + 1)
        states = after
    return len(tests) in states


def _skipping(states: set[int], tests: tuple[Callable[[str], object] | None, ...]) -> set[int]:
    """These places in a glob, and those behind a `**` that stands for no folder."""
    found = set(states)
    for at in sorted(states):
        while at < len(tests) and tests[at] is None:
            at += 1
            found.add(at)
    return found


@lru_cache(256)
def _tests(glob: str) -> tuple[Callable[[str], object] | None, ...]:
    """A test for each name in a glob; None for `**`."""
    return tuple(None if part == "**" else _test(part) for part in PurePosixPath(glob).parts)


def _test(part: str) -> Callable[[str], object]:
    if not is_glob(part):
        return part.__eq__
    hidden = part.startswith(".")
    pattern = re.compile(fnmatch.translate(part))
    return lambda name: (hidden or not name.startswith(".")) and pattern.match(name)


def _files_below(folder: Path, globs: Iterable[str]) -> Iterator[str]:
    """Files below the parts of globs that are no patterns, as paths relative to the folder; symlinked folders are not entered."""
    roots: set[str] = set()
    for glob in globs:
        fixed: list[str] = []
        for part in PurePosixPath(glob).parts[:-1]:
            if is_glob(part):
                break
            fixed.append(part)
        roots.add("/".join(fixed))
    seen = 0
    for root in sorted(roots):
        for at, folders, files in os.walk(folder / root):
            folders[:] = sorted(f for f in folders if f != ".git")
            seen += len(files) + len(folders)
            if seen > MAX_FILES:
                raise fail("too-many-files", f"more than {MAX_FILES} files lie below {root or '.'}: narrow the globs")
            base = os.path.relpath(at, folder)
            yield from ((name if base == "." else f"{base}/{name}") for name in files)

"""The project file `gen-deploy.yaml`: one corpus of specs, one output folder, one rule set for every command.

Floor 2; reads the project file and lists folders below it. A project may be untrusted: the paths it names must stay inside it,
symlinks resolved, and outside `.git`. `requires` are the versions of gen-deploy that may work on it, such as `>=0.4,<0.5`."""

from __future__ import annotations

import contextlib
import fnmatch
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import takewhile
from operator import eq, ge, gt, le, lt, ne
from pathlib import Path, PurePosixPath
from typing import Any

from generator import __version__
from generator.errors import InputError, Place, Problem, did_you_mean, fail
from generator.readers.boundary import WAY_OUT, checkout, in_a_repository, lies_in, readable_from
from generator.readers.document import Document, decode, parse_yaml, read_bytes
from generator.readers.resources import folder as shipped
from generator.readers.resources import shown
from generator.record import dataclass
from generator.rulebook.rulesets import SHIPPED, layers

FILE = "gen-deploy.yaml"
LOCK = "gen-deploy.lock"
KEYS = ("specs", "out", "rules", "requires")
TREE = "rules"
"""A folder of this name with a `vocabulary.yaml` is a complete rules folder: `lint`, `test` and `diff` look for it."""
MAX_PROJECT_BYTES = 1 << 16
MAX_FILES = 100_000


@dataclass(frozen=True, slots=True)
class Project:
    """A project file. `folder` contains it; `out` and `rules` are as written, relative to that folder."""

    folder: Path
    specs: tuple[str, ...]
    out: str
    rules: str | None
    document: Document

    @property
    def out_folder(self) -> Path:
        """The output folder; raises `InputError` if it is not a separate folder inside the project."""
        path, root = self.folder / self.out, os.path.realpath(self.folder)
        if os.path.realpath(path) == root or not lies_in(path, [root]) or in_a_repository(path, self.folder):
            message = f"out: {self.out!r} is outside the project, or inside git's own files; `-o DIR` accepts any folder"
            raise fail("outside-project", message, self.document.place(("out",)))
        return path

    @property
    def rule_set(self) -> str | None:
        """The rule set for `load`: a shipped name, or a folder; None if the project names none."""
        if self.rules is None or self.rules in SHIPPED:
            return self.rules
        return str(self.folder / self.rules)

    def spec_files(self) -> list[Path]:
        """All files of the corpus, sorted; raises `InputError` if there are none, or a named file is missing."""
        readable = readable_from(self.folder)
        found = [self.folder / name for name in self.matching(self._files_below(readable))]
        if not found:
            raise fail("no-specs", f"no file matches {', '.join(self.specs)}", self.document.place(("specs",)))
        for path in found:
            if path.is_symlink() and not lies_in(path, readable):
                raise self._outside(os.path.relpath(path, self.folder))
        return found

    def _outside(self, name: str) -> InputError:
        return fail("outside-project", f"specs: {name!r} is outside the project, or inside .git; {WAY_OUT}", self.document.place(("specs",)))

    def _files_below(self, readable: Sequence[str]) -> Iterator[str]:
        """Files below the literal parts of the globs, as paths relative to the folder; symlinked folders are skipped."""
        seen = 0
        for root in sorted({"/".join(takewhile(lambda part: not is_glob(part), PurePosixPath(glob).parts[:-1])) for glob in self.specs}):
            if not lies_in(self.folder / root, readable):
                raise self._outside(root)
            for at, folders, files in os.walk(self.folder / root):
                folders[:] = sorted(f for f in folders if f != ".git")
                seen += len(files) + len(folders)
                if seen > MAX_FILES:
                    raise fail("too-many-files", f"more than {MAX_FILES} files below {root or '.'}: narrow the globs")
                base = os.path.relpath(at, self.folder)
                yield from ((name if base == "." else f"{base}/{name}") for name in files)

    def matching(self, paths: Iterable[str]) -> list[str]:
        """The specs among paths relative to the project's folder, without generated files and rules."""
        chosen = {path for path in paths if any(matches(glob, path) for glob in self.specs) and not self._excluded(path)}
        for i, glob in enumerate(self.specs):
            if not is_glob(glob) and glob not in chosen:
                raise fail("no-specs", f"{glob!r} does not exist", self.document.place(("specs", i)))
        return sorted(chosen)

    def _excluded(self, path: str) -> bool:
        if PurePosixPath(path).name == FILE or inside(path, self.out):
            return True
        return self.rules not in (None, *SHIPPED) and inside(path, str(self.rules))


def find(cwd: Path) -> Project | None:
    """The project file of a folder or of one above it, up to the root of its repository; raises `InputError` if it is invalid."""
    folder = _folder_around(cwd.resolve())
    if folder is None:
        return None
    path = folder / FILE
    name = os.path.relpath(path, cwd.resolve())
    if path.is_symlink() and not lies_in(path, [str(folder)]):
        raise fail("outside-project", "the project file is a symlink to a file outside its folder", Place(name))
    return parse(decode(read_bytes(path, MAX_PROJECT_BYTES, name), name), name, Path(os.path.relpath(folder)))


def _folder_around(here: Path, beyond: bool = False) -> Path | None:
    """The folder of the project file: this one or a parent, up to the root of its repository or, with `beyond`, of the file system."""
    for folder in (here, *here.parents):
        if (folder / FILE).is_file():
            return folder
        if not beyond and (folder / ".git").exists():
            return None
    return None


def lock_path(folder: Path) -> Path:
    """Where the lock of the specs in a folder is, or would be: beside the project file, else in the folder itself."""
    return (_folder_around(folder.absolute()) or folder) / LOCK


def bounds(folder: Path) -> tuple[str, ...] | None:
    """Allowed folders for files named by a spec in this folder: its project, also across a submodule. None without a project."""
    around = _folder_around(folder.absolute(), beyond=True) or _folder_around(folder.resolve(), beyond=True)
    return None if around is None else readable_from(around)


def parse(text: str, name: str, folder: Path, past: bool = False) -> Project:
    """A project file from its text; raises `InputError` with all its problems, or if it requires another version of gen-deploy.

    The file of a commit, in the `past`, may have required another one."""
    document = parse_yaml(text, name)
    data = document.data
    if not isinstance(data, dict):
        raise fail("wrong-type", f"a project file is a mapping with {', '.join(f'`{key}`' for key in KEYS)}", document.place())
    required = () if past else requires_problems(document)
    if any(problem.code == CODE for problem in required):  # what another version reads is not this one's to judge
        raise InputError(required)
    problems = [*required, *_problems(document)]
    if problems:
        raise InputError(sorted(problems, key=lambda p: (p.place.line, p.place.column) if p.place else (0, 0)))
    specs = data["specs"] if isinstance(data["specs"], list) else [data["specs"]]
    return Project(folder, tuple(str(PurePosixPath(s)) for s in specs), str(PurePosixPath(data["out"])), data.get("rules"), document)


def _problems(document: Document) -> Iterator[Problem]:
    """What is wrong with the keys, and with the paths under them."""
    for key in document.data:
        if key not in KEYS:
            yield Problem("unknown-key", f"{key!r} is not a known key{did_you_mean(key, KEYS)}", document.place((key,), key=True))
    for key, means in (("specs", ": the globs of your specs"), ("out", ""), ("rules", "")):
        value = document.data.get(key)
        if value is None:
            if key != "rules" or key in document.data:
                yield Problem("missing-key", f"{key!r} is missing{means}", document.place())
            continue
        several = key == "specs" and isinstance(value, list)
        if several and not value:
            yield Problem("bad-value", "specs: needs at least one glob", document.place(("specs",)))
        for i, one in enumerate(value if several else [value]):
            yield from _path_problem(key, one, document.place((key, i) if several else (key,)), below=key != "rules")


def _path_problem(key: str, value: object, place: Place, below: bool) -> Iterator[Problem]:
    if not isinstance(value, str):
        yield Problem("wrong-type", f"{key}: a path is expected, not {value!r}", place)
    elif not value.strip() or not value.isprintable():
        yield Problem("bad-text", f"{key}: {value!r} is not a path", place)
    elif below and (value.startswith(("/", "~")) or ".." in PurePosixPath(value).parts or str(PurePosixPath(value)) == "."):
        yield Problem("bad-path", f"{key}: {value!r} must be a path below the folder of the project file", place)


def rule_set(named: str | None, cwd: Path, tree: bool = False) -> str:
    """The rule set of a command, for `load`: the named one, else the project file's, else `default`.

    `tree` (for commands about the rules themselves) prefers the `default` set of a complete `./rules` to the shipped one."""
    if named is not None:
        return named
    project = find(cwd)
    if project is not None and project.rule_set is not None:
        if project.rules not in SHIPPED:
            check_rules(Path(project.rule_set), project.folder, project.document.place(("rules",)))
        return project.rule_set
    base = project.folder if project is not None else cwd
    if tree and (base / TREE / "vocabulary.yaml").is_file():
        check_rules(base / TREE / "default", base)
        return str(base / TREE / "default")
    return "default"


def is_glob(text: str) -> bool:
    """Whether a path contains a wildcard."""
    return any(c in text for c in "*?[")


def check_rules(rules: Path, base: Path, place: Place | None = None) -> None:
    """Refuse a rule set that an untrusted checkout names and that reads files outside this checkout and the shipped rules.

    Raises `InputError`. `--rules` comes from the caller and can name any folder."""
    readable = readable_from(checkout(base), shipped("rules"))
    outside = next((path for path in _read_of(rules) if not lies_in(path, readable)), None)
    if outside is not None:
        message = f"rules: {shown(outside)} is outside the repository, or inside .git; `--rules DIR` accepts any folder"
        raise fail("outside-project", message, place)


def _read_of(rules: Path) -> Iterator[Path]:
    """All paths that loading a rule set reads: its folder with all YAML first, then the files it refers to."""
    yield rules
    yield from rules.rglob("*.yaml")
    with contextlib.suppress(InputError):  # its problems are reported on loading
        for layer in layers(rules):
            yield from layer


def inside(path: str, folder: str) -> bool:
    """Whether a path is inside a folder (both relative to the same folder)."""
    parts = PurePosixPath(os.path.normpath(folder)).parts
    return PurePosixPath(path).parts[: len(parts)] == parts


def matches(glob: str, path: str) -> bool:
    """Whether a path matches a glob: `**` is any number of folders; `*` and `?` match within a name and skip hidden files."""
    states, tests = {0}, _tests(glob)
    for part in path.split("/"):
        states |= {at + 1 for at in states if tests[at : at + 1] == (None,)}  # a `**` that matches no folder
        after = ((at, test) for at in states for test in tests[at : at + 1] if (test(part) if test else not part.startswith(".")))
        states = {at + 1 if test else at for at, test in after}
    return len(tests) in states


@lru_cache(256)
def _tests(glob: str) -> tuple[Callable[[str], object] | None, ...]:
    """A test for each name in a glob; None for `**`, which stands once where several follow one another, and before a `*` at the end."""
    parts = [*PurePosixPath(glob).parts, *(["*"] if PurePosixPath(glob).name == "**" else [])]
    return tuple(None if part == "**" else _test(part) for part, before in zip(parts, ["", *parts], strict=False) if not part == before == "**")


def _test(part: str) -> Callable[[str], object]:
    if not is_glob(part):
        return part.__eq__
    hidden = part.startswith(".")
    pattern = re.compile(fnmatch.translate(part))
    return lambda name: (hidden or not name.startswith(".")) and pattern.match(name)


KEY = CODE = "requires"
COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {">=": ge, "<=": le, "==": eq, "!=": ne, ">": gt, "<": lt}
MOST_CLAUSES = 10
_CLAUSE = re.compile(r"(>=|<=|>|<|~=(?=[^.]*\.)) *([0-9]{1,6}(?:\.[0-9]{1,6}){0,3})|(==|!=) *([0-9]{1,6}(?:\.[0-9]{1,6}){0,3}(?:\.\*)?)")


def requires_problems(document: Document, installed: str = __version__) -> list[Problem]:
    """The problem of a project file that requires another version than the installed one, or says so in an unknown form; else none."""
    if KEY not in document.data:
        return []
    written, place = document.data[KEY], document.place((KEY,))
    if not isinstance(written, str):
        return [Problem("wrong-type", f'requires: versions are expected, in quotes: ">=0.4,<0.5", not {written!r}', place)]
    clauses = [_CLAUSE.fullmatch(part.strip()) for part in written.split(",")[: MOST_CLAUSES + 1]]
    if len(clauses) > MOST_CLAUSES or not all(clauses):
        message = f'requires: {written[:100]!r} is not a list of versions such as ">=0.4,<0.5" (>=, <=, >, <, ==, != and ~=; at most {MOST_CLAUSES})'
        return [Problem("bad-value", message, place)]
    if all(_holds(clause[1] or clause[3], clause[2] or clause[4], installed) for clause in clauses if clause):
        return []
    message = f"this project requires gen-deploy {written}, but {installed} is installed: no file was touched"
    return [Problem(CODE, f"{message}; install one that it allows (`pip install 'gen-deploy{written}'`), or change `requires`", place)]


def _holds(comparison: str, version: str, installed: str) -> bool:
    """Whether the installed version satisfies one clause; `~=0.4.2` is `>=0.4.2,==0.4.*`, and a pre-release of 0.5 is not below 0.5."""
    has, final = _release(installed)
    if comparison == "~=":
        return _holds(">=", version, installed) and _holds("==", f"{version.rpartition('.')[0]}.*", installed)
    if version.endswith(".*"):
        series = [int(part) for part in version.removesuffix(".*").split(".")]
        return COMPARISONS[comparison](list(has[: len(series)]), series)
    wanted, _ = _release(version)
    return COMPARISONS[comparison]((has, final or comparison == "<"), (wanted, True))


def _release(version: str) -> tuple[tuple[int, ...], bool]:
    """The numbers of a version, and whether it is no pre-release (`0.5.0rc1`, `0.5.0.dev3`)."""
    numbers = re.match(r"[0-9]+(?:\.[0-9]+)*", version)
    found = numbers[0] if numbers else "0"
    parts = [int(part) for part in found.split(".")]
    return tuple(parts + [0] * (4 - len(parts))), re.match(r"\.?(a|b|rc|dev)", version[len(found) :]) is None

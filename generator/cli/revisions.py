"""The two sides of `gen-deploy diff`: the rule set and the specs of a commit, or of the working tree.

Floor 8. Files of a commit are exported to a temporary folder; the checkout is only read."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import field, replace
from functools import cached_property
from pathlib import Path, PurePosixPath

from generator.disk.git import SUBMODULE, Entry, Repo, export
from generator.errors import InputError, did_you_mean, fail
from generator.facts.model import QUANT_FILE
from generator.hub.lock import Lock, entries_of, read_lock
from generator.readers.boundary import readable_from
from generator.readers.document import MAX_CONFIG_BYTES, decode, parse_yaml, read_bytes, read_yaml
from generator.record import dataclass
from generator.rulebook.book import RuleBook, load, sections_of
from generator.rulebook.rulesets import SHIPPED, extended_by, put_together
from generator.spec import project as projects
from generator.spec.deployment import DeploymentSpec, from_document
from generator.spec.project import Project

MODEL_FILES = ("config", "gguf", "safetensors")
LOCKED = 1
"""Where the lock stands in `Side.bytes_of`."""
WEIGHTS = (".gguf", ".safetensors")


@dataclass(frozen=True)
class Side:
    """One side. `files` is the folder of its tree: the working tree, or a temporary folder with the exported files.

    `commit` is None for the working tree. `here` is the command's folder, relative to the root of the repository."""

    label: str
    repo: Repo
    files: Path
    commit: str | None
    here: str
    exported: set[str] = field(default_factory=set)

    @cached_property
    def entries(self) -> Mapping[str, Entry]:
        """The files of the commit by path; empty for the working tree."""
        return {entry.path: entry for entry in self.repo.tree(self.commit)} if self.commit else {}

    def path(self, name: str) -> Path:
        """A file of this side, exported and readable if it exists."""
        self.fetch([name])
        return self.files / name

    def fetch(self, names: Iterable[str]) -> None:
        """Export these files of a commit, as far as they exist, in one batch."""
        fresh = [name for name in names if name in self.entries and name not in self.exported]
        self.exported.update(fresh)
        if fresh:
            with _commit_paths(self):
                export(self.repo, [self.entries[name] for name in fresh], self.files, self.entries)

    def holds(self, name: str) -> bool:
        """Whether there is a file of this path."""
        return name in self.entries if self.commit is not None else (self.files / name).is_file()

    @cached_property
    def project(self) -> Project | None:
        """The project file of this side, nearest to the command's folder."""
        for folder in (self.here, *map(str, PurePosixPath(self.here).parents)):
            name = _join(folder, projects.FILE)
            if self.holds(name):
                with _commit_paths(self):
                    text = decode(read_bytes(self.path(name), projects.MAX_PROJECT_BYTES, name), name)
                    return projects.parse(text, name, self.files / folder, past=self.commit is not None)
        return None

    @property
    def root(self) -> str:
        """The folder of the project file, else the command's folder, relative to the root of the repository."""
        return _relative(self.project.folder, self.files) if self.project is not None else self.here

    @property
    def out(self) -> str:
        """The output folder of the project file, relative to the root of the repository; empty without one."""
        return _join(self.root, self.project.out) if self.project is not None else ""

    def corpus(self) -> list[str]:
        """The specs of the project file, as paths from the root of the repository; raises `InputError` without one."""
        if self.project is None:
            raise fail("no-specs", f"name the specs, or write a project file {projects.FILE} that does (`gen-deploy init --project`)")
        with _commit_paths(self):
            if self.commit is None:
                return [_relative(path, self.files) for path in self.project.spec_files()]
            below = f"{self.root}/" if self.root else ""
            paths = [path.removeprefix(below) for path in self.entries if path.startswith(below)]
            return [below + path for path in self.project.matching(paths)]

    def book(self, named: str | None) -> RuleBook:
        """The rule set of this side; `named` is `--rules`, relative to the command's folder."""
        name, base = (named, self.here) if named is not None else (self.project.rules if self.project else None, self.root)
        tree = _join(self.root, projects.TREE)
        if name is None or name in SHIPPED:
            folder = _join(tree, name or "default")
            if not (self.holds(_join(tree, "vocabulary.yaml")) and self.holds(_join(folder, "ruleset.yaml"))):
                return load(name or "default")
        elif Path(name).is_absolute():
            folder = self.repo.path_of(Path(name))
        else:
            folder = _join(base, name)
        return self._book(folder, name or folder, named)

    def _book(self, folder: str, name: str, named: str | None) -> RuleBook:
        if folder.startswith("../"):
            raise fail("outside-repository", f"the rule set {name!r} is not inside the repository; DIR..DIR compares rule sets of any folder")
        if not self.holds(_join(folder, "ruleset.yaml")):
            near = [_relative(Path(p).parent, Path()) for p in self.entries if p.endswith("/ruleset.yaml")]
            modules = [entry.path for entry in self.entries.values() if entry.mode == SUBMODULE]
            module = next((path for path in modules if f"{folder}/".startswith(f"{path}/")), None)
            if module is not None:
                raise fail("submodule", f"{folder!r} is in the submodule {module!r}, which is not read; run the command inside it, or compare folders")
            raise fail("unknown-ruleset", f"{self.label} has no rule set {folder!r} (a folder with ruleset.yaml){did_you_mean(folder, near)}")
        with _commit_paths(self):
            seen: set[str] = set()
            at = folder
            while at not in seen:
                seen.add(at)
                beside = posixpath.dirname(at)
                below = beside if self.holds(_join(beside, "vocabulary.yaml")) else at
                self.fetch(path for path in self.entries if path.endswith(".yaml") and (not below or path.startswith(f"{below}/")))
                extends = extended_by(read_yaml(self.path(_join(at, "ruleset.yaml"))).data)
                if not isinstance(extends, str) or extends in SHIPPED:
                    break
                at = _join(at, extends)
            if self.commit is None and named is None:  # links of a commit have been looked at
                projects.check_rules(self.files / folder, self.repo.root)
            return book_of(self.files / folder, f"{self.files}/", lenient=self.commit is not None)

    def spec(self, name: str) -> DeploymentSpec:
        """A spec of this side with its model files; raises `InputError` with all its problems."""
        path = self.path(name)
        with _commit_paths(self):
            text = decode(read_bytes(path, 1 << 20, name), name)
            spec, problems = from_document(parse_yaml(text, name), path)
            if spec is None:
                raise InputError(problems)
            inside = self.root if projects.inside(name, self.root) else ""
            within = readable_from(self.files / inside, self.repo.root / inside) if self.project is not None else None
            spec = replace(spec, within=within, lock=self._lock(name))
            for key in MODEL_FILES:
                self._model_file(key, name, spec)
                if written := getattr(spec.model, key):
                    spec.named_file(("model", key), written)
        return spec

    def _lock(self, name: str) -> Lock | None:
        folder = self.root if self.project is not None and projects.inside(name, self.root) else posixpath.dirname(name)
        path = _join(folder, projects.LOCK)
        return read_lock(self.path(path), path) if self.holds(path) else None

    def _model_file(self, key: str, name: str, spec: DeploymentSpec) -> Path | None:
        """A file named by a spec, readable: from the commit, or from the working tree if it is not in git; weights always from there.

        None if the spec names none, or one outside the repository."""
        written = getattr(spec.model, key)
        if not written or written.startswith(("/", "~")):
            return None
        path = _join(posixpath.dirname(name), written)
        if path.startswith("../"):
            if self.commit is None:
                return None
            raise fail("outside-repository", f"{path!r} is not inside the repository")
        if self.commit is not None:
            folder = posixpath.dirname(path)
            small = [path, f"{path}/config.json"] if key == "config" else [path] if path.endswith(".json") else []
            beside = [f"{path}/{QUANT_FILE}", _join(folder, QUANT_FILE)] if key == "config" else []
            self.fetch([*small, *beside])
            if any(one in self.entries for one in small):
                beside = []  # where git keeps the config, a commit without this file has none
            here = self.repo.root / folder
            weights = [_join(folder, one.name) for one in here.iterdir() if one.suffix in WEIGHTS] if key != "config" and here.is_dir() else []
            for one in (*small, *beside, *weights):
                if one not in self.exported and not (self.files / one).exists() and (self.repo.root / one).exists():
                    (self.files / one).parent.mkdir(parents=True, exist_ok=True)
                    (self.files / one).symlink_to(self.repo.root / one)
        return self.files / path

    def bytes_of(self, name: str, spec: DeploymentSpec) -> list[bytes]:
        """A spec's bytes, what its lock says of it, and the bytes of its configs and indexes, to detect edits."""
        found = [_content(self.path(name)), entries_of(self._lock(name), spec.model.id, spec.name)]
        for key in MODEL_FILES:
            path = None
            with suppress(InputError):
                path = self._model_file(key, name, spec)
            small = None if path is None or path.suffix in WEIGHTS else path
            found += map(_content, (small, small / QUANT_FILE, small.with_name(QUANT_FILE)) if small else (None, None, None))
        return found


def _content(path: Path | None) -> bytes:
    """The bytes of a file that a decision reads; none if it is unreadable."""
    with suppress(InputError):
        return read_bytes(path / "config.json" if path.is_dir() else path, MAX_CONFIG_BYTES) if path is not None else b""
    return b""


def book_of(folder: Path, prefix: str = "", lenient: bool = False) -> RuleBook:
    """The rule set of a folder, with places relative to the root of its repository; `lenient` as for `gather`."""
    try:
        merged = put_together(folder, lenient=lenient)
    except InputError as error:
        raise _shortened(error, prefix) from None
    rows = [row for table in merged["tables"].values() for row in table["rows"]]
    for entry in (*rows, *merged["thresholds"].values()):
        if isinstance(entry, dict) and "at" in entry:
            entry["at"] = entry["at"].removeprefix(prefix)
    return RuleBook(sections_of(merged))


def _shortened(error: InputError, prefix: str, label: str = "") -> InputError:
    """The problems with places relative to a folder, behind a label where they do not have it."""
    return InputError(
        p._replace(
            message=p.message.replace(prefix, "") if prefix else p.message,
            place=p.place and p.place._replace(path=label + p.place.path.removeprefix(prefix).removeprefix(label)),
        )
        for p in error.problems
    )


@contextmanager
def _commit_paths(side: Side) -> Iterator[None]:
    """Problems of a commit's files name the commit, as git does: `main:rules/default/reject.yaml:3:5`."""
    try:
        yield
    except InputError as error:
        if side.commit is None:
            raise
        raise _shortened(error, f"{side.files}/", f"{side.label}:") from None


def _join(folder: str, name: str) -> str:
    """A path below the root of a repository, without `.` and with `..` resolved; it begins with `../` if it leaves the repository."""
    joined = posixpath.normpath(posixpath.join(folder, name))
    return "" if joined == "." else joined


def _relative(path: Path, base: Path) -> str:
    text = path.resolve().relative_to(base.resolve()).as_posix() if path.is_absolute() else path.as_posix()
    return "" if text == "." else text

"""What lies in an output folder: the files that gen-deploy wrote there, by its manifests, and how they differ from new ones.

Floor 6; reads only.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from generator.errors import Problem, WriteError
from generator.json_text import parse_or_none
from generator.render.artifact import Artifact

MANIFEST = "manifest.json"
STAGING = re.compile(r"[a-z0-9_]{8}")
"""How `tempfile` ends the name of a folder."""


@dataclass(frozen=True, slots=True)
class Finding:
    """How one file differs.

    `missing`, `differs` (not what would be generated now), `edited` (by hand) or `stale` (no longer generated);
    `found` is what lies there, `now` what would be generated, for the kinds that have both.
    """

    kind: str
    path: str
    found: bytes | None = field(default=None, compare=False, repr=False)
    now: bytes | None = field(default=None, compare=False, repr=False)


def sha256(data: bytes) -> str:
    """The hash of a file in the manifest."""
    return hashlib.sha256(data).hexdigest()


def compare(out: Path, name: str, artifacts: Sequence[Artifact]) -> list[Finding]:
    """What `check` reports, by path: nothing where every file is as it would be generated."""
    folder = out / name
    with reported(folder):
        return sorted(_compare(out, name, artifacts), key=lambda finding: finding.path)


def _compare(out: Path, name: str, artifacts: Sequence[Artifact]) -> Iterator[Finding]:
    folder = out / name
    check_paths(out, name, [a.path for a in artifacts])
    old = recorded(folder)
    for artifact in artifacts:
        found = content(folder / artifact.path)
        if found is None:
            yield Finding("missing", artifact.path)
        elif found != artifact.data:
            edited = artifact.path in old and sha256(found) not in old[artifact.path]
            yield Finding("edited" if edited else "differs", artifact.path, found, artifact.data)
        elif not runs(folder, artifact):
            yield Finding("differs", artifact.path)
    current = {artifact.path for artifact in artifacts}
    for path in old:
        if path not in current and content(folder / path) is not None:
            yield Finding("stale", path)
    if artifacts and not old:
        yield Finding("missing", MANIFEST)


def orphans(out: Path, names: Iterable[str]) -> list[str]:
    """Folders in `out` that gen-deploy wrote for specs that are not among these names any more."""
    current = set(names)
    try:
        found = sorted(entry.name for entry in os.scandir(out) if entry.is_dir(follow_symlinks=False))
    except OSError:
        return []
    return [n for n in found if n not in current and not n.startswith(".") and files_of(content(out / n / MANIFEST))]


def recorded(folder: Path) -> dict[str, frozenset[str]]:
    """Path → the sha256 that we wrote there: of the manifest, and of a run that was killed before it could replace that one.

    Empty where there is no manifest that can be read.
    """
    recorded: dict[str, frozenset[str]] = {}
    for manifest_file in (folder / MANIFEST, *(stale / "new" / MANIFEST for stale in leftovers(folder))):
        for path, digest in files_of(content(manifest_file)).items():
            recorded[path] = recorded.get(path, frozenset()) | {digest}
    return recorded


def files_of(raw: bytes | None) -> dict[str, str]:
    manifest = parse_or_none(raw or b"")
    files = manifest.get("files") if isinstance(manifest, dict) else None
    if not isinstance(files, dict):
        return {}
    return {
        p: h
        for p, h in files.items()
        if isinstance(h, str) and p and not p.startswith("/") and ".." not in PurePosixPath(p).parts
    }


def leftovers(folder: Path) -> list[Path]:
    """Staging folders that runs for this spec left when they were killed (or that one is using right now)."""
    prefix = f".{folder.name}."
    try:
        names = _hidden_names(folder.parent)
    except OSError:
        return []
    found = [folder.parent / name for name in names if name.startswith(prefix) and STAGING.fullmatch(name[len(prefix) :])]
    return sorted(path for path in found if path.is_dir() and not path.is_symlink())


_hidden: dict[Path, tuple[int, tuple[str, ...]]] = {}


def _hidden_names(out: Path) -> tuple[str, ...]:
    """Names in `out` that begin with a dot; listed again only where others changed `out`, or many specs would cost their square."""
    changed = out.stat().st_mtime_ns
    known = _hidden.get(out)
    if known is None or known[0] != changed:
        known = _hidden[out] = (changed, tuple(name for name in os.listdir(out) if name.startswith(".")))  # noqa: PTH208 - there may be thousands
    return known[1]


def changed_by_us(out: Path) -> None:
    """Whoever has written into `out`, under the lock, and left nothing there but whole folders says so."""
    if out in _hidden:
        _hidden[out] = (out.stat().st_mtime_ns, _hidden[out][1])


@contextlib.contextmanager
def reported(folder: Path) -> Iterator[None]:
    """What the file system refuses, as a `WriteError`."""
    try:
        yield
    except OSError as error:
        raise refused(
            "cannot-write", f"{folder}: {error.strerror or error}{f' ({error.filename})' if error.filename else ''}"
        ) from None


def refused(code: str, message: str) -> WriteError:
    """A `WriteError` of one problem."""
    return WriteError(Problem(code, message))


def check_paths(out: Path, name: str, paths: Iterable[str]) -> None:
    """Every path stays inside the folder, and nothing on the way is a symlink or no folder."""
    if name in ("", ".", "..") or "/" in name:
        raise refused("bad-path", f"{name!r} is no name for a folder")
    folder = out / name
    for path in [*paths, MANIFEST]:
        parts = PurePosixPath(path).parts
        if not parts or path.startswith("/") or ".." in parts:
            raise refused("bad-path", f"{path!r} leaves the folder of the spec")
        at = folder
        for part in ("", *parts):
            at = at / part if part else at
            try:
                mode = os.lstat(at).st_mode
            except FileNotFoundError:
                break
            except NotADirectoryError:
                raise refused("not-a-folder", f"{at.parent} is not a folder") from None
            last = part == parts[-1] and at == folder.joinpath(*parts)
            if stat.S_ISLNK(mode):
                raise refused("symlink", f"{at} is a symlink: gen-deploy does not write through one")
            if not (stat.S_ISREG(mode) if last else stat.S_ISDIR(mode)):
                raise refused("not-a-file" if last else "not-a-folder", f"{at} is not a {'file' if last else 'folder'}")


def runs(folder: Path, artifact: Artifact) -> bool:
    """Whether a file may be run, where it is a program."""
    return not artifact.executable or os.access(folder / artifact.path, os.X_OK)


def content(path: Path) -> bytes | None:
    """A regular file's bytes; None where there is none, or something else."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    with os.fdopen(handle, "rb") as file:
        return file.read() if stat.S_ISREG(os.fstat(handle).st_mode) else None

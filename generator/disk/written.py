"""The content of an output folder: generated files according to the manifest, and their differences from new ones.

Floor 8; reads only. A manifest is often committed and therefore untrusted: it counts only for regular
files inside the spec's folder, reached without symlinks."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import field
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from generator.errors import InputError, Problem, WriteError
from generator.readers.binary import READING
from generator.readers.document import decode
from generator.readers.json_text import parse_object
from generator.record import dataclass
from generator.render.artifact import Artifact
from generator.render.seal import sealed_itself

MANIFEST = "manifest.json"
PAGE = "PLAN.md"
STAGING = ".gen-deploy."
"""Name prefix of staging folders inside the spec's folder."""
MAX_BYTES = 16 << 20
"""Maximum number of bytes read: generated files are far smaller, so a larger file is foreign."""
MAX_FILES = 10_000
_PATH = re.compile(r"(?!.*(^|/)(\.{1,2}|\.[gG][iI][tT])(/|$))[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*")
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Finding:
    """The difference of one file.

    `missing`, `differs` (out of date), `edited` (by hand), `stale` (no longer generated), `stale-edited` (both), or `unfinished` (the
    manifest of an interrupted run); `found` is the content on disk, `now` the newly generated one, for kinds with both."""

    kind: str
    path: str
    found: bytes | None = field(default=None, compare=False, repr=False)
    now: bytes | None = field(default=None, compare=False, repr=False)


class Recorded(NamedTuple):
    """A manifest's record: path → sha256 of the written file (for an unfinished run the previous one too), and the owning spec.

    `spec` is the path of the spec relative to the folder, or only its file name."""

    files: dict[str, frozenset[str]]
    spec: str | None = None
    unfinished: bool = False


def sha256(data: bytes) -> str:
    """The hash of a file in the manifest."""
    return hashlib.sha256(data).hexdigest()


def compare(out: Path, name: str, artifacts: Sequence[Artifact]) -> list[Finding]:
    """The findings of `check`, by path: none if every file is up to date."""
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
            edited = artifact.path in old.files and sha256(found) not in old.files[artifact.path]
            yield Finding("edited" if edited else "differs", artifact.path, found, artifact.data)
        elif not runs(folder, artifact):
            yield Finding("differs", artifact.path)
    for path, found in others(folder, old, {artifact.path for artifact in artifacts}).items():
        yield Finding("stale" if sha256(found) in old.files[path] else "stale-edited", path)
    if artifacts and not old.files:
        yield Finding("missing", MANIFEST)
    elif old.unfinished:
        yield Finding("unfinished", MANIFEST)


def orphans(out: Path, names: Iterable[str]) -> list[str]:
    """Generated folders in `out` for specs that are no longer among these names."""
    current = set(names)
    try:
        found = sorted(entry.name for entry in os.scandir(out) if entry.is_dir(follow_symlinks=False))
        return [n for n in found if n not in current and not n.startswith(".") and recorded(out / n).files]
    except OSError:
        return []


def recorded(folder: Path) -> Recorded:
    """The manifest's record of a folder; empty if it is missing, unreadable or invalid."""
    try:
        data = parse_object(decode(content(folder / MANIFEST) or b"", MANIFEST), MANIFEST)
    except InputError:
        return Recorded({})
    files, before = _digests(data.get("files")), _digests(data.get("unfinished"))
    page = content(folder / PAGE)
    if files and PAGE not in files and page is not None:
        files[PAGE] = sha256(page) if sealed_itself(page) else "0" * 64
    spec = data.get("spec")
    return Recorded(
        {path: frozenset(side[path] for side in (files, before) if path in side) for path in {**files, **before}},
        spec if isinstance(spec, str) else None,
        "unfinished" in data,
    )


def _digests(value: object) -> dict[str, str]:
    if not isinstance(value, dict) or len(value) > MAX_FILES:
        return {}
    return {path: digest for path, digest in value.items() if isinstance(digest, str) and _DIGEST.fullmatch(digest) and _PATH.fullmatch(path)}


def others(folder: Path, old: Recorded, current: Iterable[str]) -> dict[str, bytes]:
    """The existing files of the manifest that are not among the current ones, with their content."""
    apart = {*current, MANIFEST}
    found = {path: content(folder / path) for path in sorted(old.files) if path not in apart and not _behind_symlink(folder, path)}
    return {path: data for path, data in found.items() if data is not None}


def _behind_symlink(folder: Path, path: str) -> bool:
    return any((folder / part).is_symlink() for part in (PurePosixPath(path), *PurePosixPath(path).parents))


def leftovers(folder: Path) -> list[Path]:
    """Staging folders of killed (or currently running) runs for this spec."""
    try:
        return [Path(entry) for entry in os.scandir(folder) if entry.name.startswith(STAGING) and entry.is_dir(follow_symlinks=False)]
    except (FileNotFoundError, NotADirectoryError):
        return []


@contextlib.contextmanager
def reported(folder: Path) -> Iterator[None]:
    """Convert file system errors into `WriteError`."""
    try:
        yield
    except OSError as error:
        at = error.filename2 or error.filename
        if error.errno in (errno.EXDEV, errno.EBUSY):
            message = f"{at} is a mount point or on another file system: mount {folder} itself or its parent folder instead"
            raise refused("mount-point", message) from None
        raise refused("cannot-write", f"{folder}: {error.strerror or error}{f' ({at})' if at else ''}") from None


def refused(code: str, message: str) -> WriteError:
    """A `WriteError` of one problem."""
    return WriteError(Problem(code, message))


def check_paths(out: Path, name: str, paths: Iterable[str]) -> None:
    """Check that every path stays inside the folder, through real folders only (no symlinks)."""
    if name in ("", ".", "..") or "/" in name:
        raise refused("bad-path", f"{name!r} is not a valid folder name")
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
    """Whether a file is executable, if it should be."""
    return not artifact.executable or os.access(folder / artifact.path, os.X_OK)


def content(path: Path | str) -> bytes | None:
    """A regular file's bytes (no more than one above `MAX_BYTES`); None where there is none, or something else."""
    try:
        handle = os.open(path, READING | getattr(os, "O_NOFOLLOW", 0))
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):  # a symlink, or a socket
            return None
        raise
    with os.fdopen(handle, "rb") as file:
        return file.read(MAX_BYTES + 1) if stat.S_ISREG(os.fstat(handle).st_mode) else None

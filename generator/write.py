"""Files of a spec onto disk: all of them or none, and never over what somebody else wrote.

Floor 6: one of the few modules that write. New files are staged in a folder beside the spec's own, on the same file
system, then put in place by renames; what stood there is kept until the last rename has succeeded, and put back if one
fails.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from generator.errors import Problem, WriteError
from generator.render.artifact import Artifact

MANIFEST = "manifest.json"

LOCK_WAIT_S = 10.0
LOCK_POLL_S = 0.05


class Finding(NamedTuple):
    """How one file differs.

    `missing`, `differs` (not what would be generated now), `edited` (by hand) or `stale` (no longer generated).
    """

    kind: str
    path: str


@dataclass(frozen=True, slots=True)
class WriteResult:
    """What was done, by path relative to the spec's folder; `kept` are stale files that stay."""

    folder: Path
    written: tuple[str, ...] = ()
    unchanged: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()


def sha256(data: bytes) -> str:
    """The hash of a file in the manifest."""
    return hashlib.sha256(data).hexdigest()


def manifest(artifacts: Iterable[Artifact], extra: Mapping[str, Any]) -> Artifact:
    """The manifest: `files` (path → sha256) and whatever else identifies the run (tool version, rules digest)."""
    files = {artifact.path: sha256(artifact.data) for artifact in sorted(artifacts, key=lambda a: a.path)}
    return Artifact(MANIFEST, json.dumps({**extra, "files": files}, ensure_ascii=False, indent=2) + "\n")


def compare(out: Path, name: str, artifacts: Sequence[Artifact]) -> list[Finding]:
    """What `check` reports, by path: nothing where every file is as it would be generated."""
    folder = out / name
    with _reported(folder):
        return sorted(_compare(out, name, artifacts), key=lambda finding: finding.path)


def _compare(out: Path, name: str, artifacts: Sequence[Artifact]) -> Iterator[Finding]:
    folder = out / name
    _check_paths(out, name, [a.path for a in artifacts])
    old = _recorded(folder)
    for artifact in artifacts:
        found = _content(folder / artifact.path)
        if found is None:
            yield Finding("missing", artifact.path)
        elif found != artifact.data:
            edited = artifact.path in old and sha256(found) != old[artifact.path]
            yield Finding("edited" if edited else "differs", artifact.path)
        elif artifact.executable and not os.access(folder / artifact.path, os.X_OK):
            yield Finding("differs", artifact.path)
    current = {artifact.path for artifact in artifacts}
    for path in old:
        if path not in current and _content(folder / path) is not None:
            yield Finding("stale", path)
    if artifacts and not old:
        yield Finding("missing", MANIFEST)


def write_spec(
    out: Path,
    name: str,
    artifacts: Sequence[Artifact],
    manifest_extra: Mapping[str, Any],
    *,
    force: bool = False,
    prune: bool = False,
) -> WriteResult:
    """Write the files of one spec into `out/name`, all of them or none.

    Raises `WriteError` (exit 5), with nothing changed, where a generated file was edited by hand or a file that we did
    not write is in the way (unless `force`), where a symlink or something that is no folder lies on the way, and where
    the file system says no. Files that gen-deploy did not write there are never touched; own files that are no longer
    generated stay unless `prune`.
    """
    folder = out / name
    with _reported(folder), _alone(out):
        _check_paths(out, name, [a.path for a in artifacts])
        old = _recorded(folder)
        everything = [*artifacts, manifest(artifacts, manifest_extra)]
        changed = [a for a in everything if _differs(folder, a)]
        if not force:
            _refuse_edited(folder, changed, old)
        current = {a.path for a in everything}
        stale = [path for path in old if path not in current and _content(folder / path) is not None]
        removed = [p for p in stale if prune and (force or sha256(_content(folder / p) or b"") == old[p])]
        if changed or removed:
            _replace(folder, changed, removed)
        return WriteResult(
            folder,
            tuple(a.path for a in changed),
            tuple(a.path for a in everything if a not in changed),
            tuple(removed),
            tuple(p for p in stale if p not in removed),
        )


@contextlib.contextmanager
def _reported(folder: Path) -> Iterator[None]:
    """What the file system refuses, as a `WriteError`."""
    try:
        yield
    except OSError as error:
        raise refused(
            "cannot-write", f"{folder}: {error.strerror or error}{f' ({error.filename})' if error.filename else ''}"
        ) from None


@contextlib.contextmanager
def _alone(out: Path) -> Iterator[None]:
    """Only one run at a time writes into `out`; another one waits a while, then gives up."""
    try:
        handle = os.open(out, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:  # not there yet, or no folder: whoever makes it, or says so, comes later
        yield
        return
    try:
        _lock(handle, out)
        yield
    finally:
        os.close(handle)


def _lock(handle: int, out: Path) -> None:
    until = time.monotonic() + LOCK_WAIT_S
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() >= until:
                raise refused("locked", f"another gen-deploy is writing into {out}") from None
            time.sleep(LOCK_POLL_S)
        except OSError:  # a file system without locks
            return


def refused(code: str, message: str) -> WriteError:
    """A `WriteError` of one problem."""
    return WriteError(Problem(code, message))


def _check_paths(out: Path, name: str, paths: Iterable[str]) -> None:
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


def _content(path: Path) -> bytes | None:
    """A regular file's bytes; None where there is none, or something else."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    with os.fdopen(handle, "rb") as file:
        return file.read() if stat.S_ISREG(os.fstat(handle).st_mode) else None


def _differs(folder: Path, artifact: Artifact) -> bool:
    path = folder / artifact.path
    return _content(path) != artifact.data or (artifact.executable and not os.access(path, os.X_OK))


def _recorded(folder: Path) -> dict[str, str]:
    """Path → sha256 of the manifest that lies there; empty where there is none that can be read."""
    raw = _content(folder / MANIFEST)
    if raw is None:
        return {}
    try:
        files = json.loads(raw)["files"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return {}
    if not isinstance(files, dict):
        return {}
    return {
        p: h
        for p, h in files.items()
        if isinstance(h, str) and p and not p.startswith("/") and ".." not in PurePosixPath(p).parts
    }


def _refuse_edited(folder: Path, changed: Iterable[Artifact], old: Mapping[str, str]) -> None:
    problems = []
    for artifact in changed:
        found = _content(folder / artifact.path)
        if found is None or artifact.path == MANIFEST or found == artifact.data:
            continue
        if artifact.path not in old:
            problems.append(
                Problem(
                    "not-ours",
                    f"{folder / artifact.path} is in the way and was not written by gen-deploy (--force replaces it)",
                )
            )
        elif sha256(found) != old[artifact.path]:
            problems.append(
                Problem(
                    "edited-by-hand",
                    f"{folder / artifact.path} was edited by hand since it was generated (--force replaces it)",
                )
            )
    if problems:
        raise WriteError(problems)


def _replace(folder: Path, changed: Sequence[Artifact], removed: Sequence[str]) -> None:
    """Stage, then rename; undo what was renamed if one fails."""
    made = _make_folders(folder.parent)
    new = not folder.is_dir()
    staging: Path | None = None
    done: list[tuple[Path, Path | None]] = []
    try:
        staging = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        for artifact in changed:
            _stage(staging / "new" / artifact.path, artifact)
        if new:
            _sync_folders(staging / "new")
            (staging / "new").chmod(0o777 & ~_umask())
            (staging / "new").rename(folder)
        else:
            # the manifest goes last: until then, what it says holds for what has not been replaced
            for path in sorted([*(a.path for a in changed), *removed], key=lambda path: path == MANIFEST):
                new_file = None if path in removed else staging / "new" / path
                _swap(folder / path, new_file, staging / "old" / path, done, made)
        _sync(folder)
        _sync(folder.parent)
    except BaseException:
        _undo(done)
        for empty in reversed(made):
            with contextlib.suppress(OSError):
                empty.rmdir()
        raise
    finally:
        if staging is not None:
            shutil.rmtree(staging, ignore_errors=True)
    for path in removed:
        with contextlib.suppress(OSError):  # a folder that still holds something stays
            (folder / path).parent.rmdir()


def _stage(path: Path, artifact: Artifact) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(artifact.data)
        file.flush()
        os.fsync(file.fileno())
    path.chmod((0o777 if artifact.executable else 0o666) & ~_umask())


def _swap(target: Path, new: Path | None, backup: Path, done: list[tuple[Path, Path | None]], made: list[Path]) -> None:
    """Put one staged file in place (or take one away), keeping what stood there as a hard link or a copy."""
    made += _make_folders(target.parent)
    kept: Path | None = None
    if target.exists():
        backup.parent.mkdir(parents=True, exist_ok=True)
        try:
            backup.hardlink_to(target)
        except OSError:
            shutil.copy2(target, backup)
        kept = backup
    if new is None:
        target.unlink()
    else:
        new.replace(target)
    done.append((target, kept))


def _undo(done: Sequence[tuple[Path, Path | None]]) -> None:
    for target, kept in reversed(done):
        with contextlib.suppress(OSError):
            if kept is None:
                target.unlink()
            else:
                kept.replace(target)


def _make_folders(path: Path) -> list[Path]:
    """Make a folder with those above it; returns what was made, outermost first."""
    missing = [p for p in (path, *path.parents) if not p.exists()]
    made: list[Path] = []
    for folder in reversed(missing):
        folder.mkdir(exist_ok=True)
        made.append(folder)
    return made


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _sync_folders(root: Path) -> None:
    for path in (root, *(p for p in root.rglob("*") if p.is_dir())):
        _sync(path)


def _sync(folder: Path) -> None:
    """Make the names in a folder last; where folders cannot be synced, the renames have to do."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

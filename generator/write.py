"""Files of a spec onto disk: all of them or none, and never over what somebody else wrote.

Floor 6: one of the few modules that write. New files are staged in a folder beside the spec's own, on the same file
system, then put in place by renames; what stood there is kept until the last rename has succeeded, and put back if one
fails.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from generator.errors import Problem, WriteError
from generator.render.artifact import Artifact
from generator.written import (
    MANIFEST,
    Finding,
    changed_by_us,
    check_paths,
    compare,
    content,
    leftovers,
    recorded,
    refused,
    reported,
    runs,
    sha256,
)  # fmt: skip

__all__ = ["EditedError", "Finding", "WriteResult", "compare", "manifest", "remove_spec", "sha256", "write_spec"]

LOCK_WAIT_S = 10.0
LOCK_POLL_S = 0.05


class EditedError(WriteError):
    """Files are in the way that were edited by hand, or that gen-deploy did not write; `edits` are those edited."""

    def __init__(self, problems: Sequence[Problem], edits: Sequence[Finding]) -> None:
        super().__init__(problems)
        self.edits = tuple(edits)


@dataclass(frozen=True, slots=True)
class WriteResult:
    """What was done, by path relative to the spec's folder; `kept` are stale files that stay."""

    folder: Path
    written: tuple[str, ...] = ()
    unchanged: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()


def manifest(artifacts: Iterable[Artifact], extra: Mapping[str, Any], others: Mapping[str, str] | None = None) -> Artifact:
    """The manifest: `files` (path → sha256; `others` of an earlier run) and whatever else identifies the run (tool version, rules digest)."""
    files = dict(sorted(({**(others or {}), **{artifact.path: sha256(artifact.data) for artifact in artifacts}}).items()))
    return Artifact(MANIFEST, json.dumps({**extra, "files": files}, ensure_ascii=False, indent=2) + "\n")


def write_spec(
    out: Path,
    name: str,
    artifacts: Sequence[Artifact],
    manifest_extra: Mapping[str, Any],
    *,
    force: bool = False,
    prune: bool = False,
    partial: bool = False,
) -> WriteResult:
    """Write the files of one spec into `out/name`, all of them or none.

    With `partial` these are only some of the spec's files: the others stay as they are, in the manifest too.

    Raises `WriteError` (exit 5), with nothing changed, where a generated file was edited by hand or a file that we did
    not write is in the way (unless `force`), where a symlink or something that is no folder lies on the way, and where
    the file system says no. Files that gen-deploy did not write there are never touched; own files that are no longer
    generated stay unless `prune`.
    """
    folder = out / name
    with reported(folder), _alone(out) as locked:
        check_paths(out, name, [a.path for a in artifacts])
        old = recorded(folder)
        everything = [*artifacts, manifest(artifacts, manifest_extra, _others(folder, artifacts, old) if partial else {})]
        there = {a.path: content(folder / a.path) for a in everything}
        changed = [a for a in everything if there[a.path] != a.data or not runs(folder, a)]
        if not force:
            _refuse_edited(folder, changed, there, old)
        put = {a.path for a in changed}
        current = {a.path for a in everything} | (set(old) if partial else set())
        stale = [path for path in old if path not in current and content(folder / path) is not None]
        removed = [p for p in stale if prune and (force or sha256(content(folder / p) or b"") in old[p])]
        if changed or removed:
            _replace(folder, changed, removed)
            if locked:
                changed_by_us(out)
        if locked:
            _sweep(folder)
        return WriteResult(
            folder,
            tuple(a.path for a in changed),
            tuple(a.path for a in everything if a.path not in put),
            tuple(removed),
            tuple(p for p in stale if p not in removed),
        )


@contextlib.contextmanager
def _alone(out: Path) -> Iterator[bool]:
    """Only one run at a time writes into `out`; another one waits a while, then gives up. Says whether there is a lock."""
    try:
        handle = os.open(out, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:  # not there yet, or no folder: whoever makes it, or says so, comes later
        yield False
        return
    try:
        yield _lock(handle, out)
    finally:
        os.close(handle)


def _lock(handle: int, out: Path) -> bool:
    until = time.monotonic() + LOCK_WAIT_S
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() >= until:
                raise refused("locked", f"another gen-deploy is writing into {out}") from None
            time.sleep(LOCK_POLL_S)
        except OSError:  # a file system without locks
            return False


def _others(folder: Path, artifacts: Sequence[Artifact], old: Mapping[str, frozenset[str]]) -> dict[str, str]:
    """The hashes of what else lies there by the manifest: of the file as it is now, if that is ours, else as recorded."""
    current = {a.path for a in artifacts}
    there = {path: sha256(content(folder / path) or b"") for path in old if path not in current}
    return {path: found if found in old[path] else min(old[path]) for path, found in there.items()}


def _sweep(folder: Path) -> None:
    """Remove the staging folders that killed runs left; a run that began before `out` was there may still use a young one."""
    for path in leftovers(folder):
        with contextlib.suppress(OSError):
            if {entry.name for entry in path.iterdir()} <= {"new", "old"} and time.time() - path.stat().st_mtime > LOCK_WAIT_S:
                shutil.rmtree(path, ignore_errors=True)


def _refuse_edited(folder: Path, changed: Iterable[Artifact], there: Mapping[str, bytes | None], old: Mapping[str, frozenset[str]]) -> None:
    problems, edits = [], []
    for artifact in changed:
        found = there[artifact.path]
        if found is None or artifact.path == MANIFEST or found == artifact.data:
            continue
        if artifact.path not in old:
            problems.append(
                Problem(
                    "not-ours",
                    f"{folder / artifact.path} is in the way and was not written by gen-deploy (--force replaces it)",
                )
            )
        elif sha256(found) not in old[artifact.path]:
            edits.append(Finding("edited", artifact.path, found, artifact.data))
            problems.append(
                Problem(
                    "edited-by-hand",
                    f"{folder / artifact.path} was edited by hand since it was generated (--force replaces it)",
                )
            )
    if problems:
        raise EditedError(problems, edits)


def remove_spec(out: Path, name: str, *, force: bool = False) -> WriteResult:
    """Remove the files that gen-deploy wrote into `out/name`; what was edited by hand (unless `force`) or is not ours stays.

    Raises `WriteError` where the file system says no.
    """
    folder = out / name
    with reported(folder), _alone(out):
        old = recorded(folder)
        check_paths(out, name, list(old))
        there = {path: found for path in old if (found := content(folder / path)) is not None}
        kept = [path for path, found in there.items() if not force and sha256(found) not in old[path]]
        removed = [path for path in there if path not in kept]
        if not kept:
            removed.append(MANIFEST)
        for path in removed:
            (folder / path).unlink()
        for parent in sorted({p for path in removed for p in (folder / path).parents if p == folder or folder in p.parents}, reverse=True):
            with contextlib.suppress(OSError):  # a folder that still holds something stays
                parent.rmdir()
        return WriteResult(folder, removed=tuple(removed), kept=tuple(kept))


def _replace(folder: Path, changed: Sequence[Artifact], removed: Sequence[str]) -> None:
    """Stage, then rename; undo what was renamed if one fails."""
    made = _make_folders(folder.parent)
    new = not folder.is_dir()
    staging: Path | None = None
    done: list[tuple[Path, Path | None]] = []
    try:
        staging = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        folders = _stage(staging / "new", changed)
        if new:
            for each in folders:
                _sync(each)
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


def _stage(root: Path, artifacts: Sequence[Artifact]) -> list[Path]:
    """Write files below a new folder, each onto the disk; returns the folders that were made. The umask has its say in all."""
    folders = [root]
    for inside in dict.fromkeys(artifact.path.rpartition("/")[0] for artifact in artifacts):
        parts = inside.split("/") if inside else []
        folders += [at for n in range(len(parts)) if (at := root.joinpath(*parts[: n + 1])) not in folders]
    for folder in folders:
        folder.mkdir()
    for artifact in artifacts:
        mode = 0o777 if artifact.executable else 0o666
        handle = os.open(root / artifact.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        with os.fdopen(handle, "wb") as file:
            file.write(artifact.data)
            file.flush()
            os.fsync(handle)
    return folders


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


def _sync(folder: Path) -> None:
    """Make the names in a folder last; where folders cannot be synced, the renames have to do."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

"""Files of a spec onto disk: all of them or none, and never over what somebody else wrote.

Floor 6: one of the few modules that write. New files wait in a folder inside the spec's own and are put in place by renames.
A run that is killed meanwhile leaves a mixture of old and new files. It does not start: the seals, which start scripts look for,
are taken away before the first rename and put back after the last, and until then the manifest says that it is unfinished,
with the digests of both sides, so that the next run knows its own files.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from generator.errors import Problem, WriteError, printable
from generator.render.artifact import Artifact
from generator.render.seal import is_seal
from generator.written import (
    MANIFEST,
    STAGING,
    Finding,
    Recorded,
    check_paths,
    compare,
    content,
    leftovers,
    others,
    recorded,
    refused,
    reported,
    runs,
    sha256,
)  # fmt: skip

__all__ = ["EditedError", "Finding", "WriteResult", "compare", "manifest", "remove_spec", "sha256", "write_spec"]

LOCK = ".gen-deploy.lock"
"""In the output folder while a run writes there."""
LOCK_WAIT_S = 10.0


class EditedError(WriteError):
    """Files are in the way that were edited by hand, or that gen-deploy did not write; `edits` are those edited."""

    def __init__(self, problems: Sequence[Problem], edits: Sequence[Finding]) -> None:
        super().__init__(problems)
        self.edits = tuple(edits)


@dataclass(frozen=True, slots=True)
class WriteResult:
    """What was done, by path relative to the spec's folder; `kept` are stale files that stay, `edited` those of them edited by hand."""

    folder: Path
    written: tuple[str, ...] = ()
    unchanged: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    edited: tuple[str, ...] = ()


class _Survey(NamedTuple):
    """What is to be done in a folder. `everything` ends with the manifest; `seals` are those that lie there."""

    everything: list[Artifact]
    there: dict[str, bytes | None]
    old: Recorded
    changed: list[Artifact]
    removed: list[str]
    kept: dict[str, bytes]
    seals: list[str]

    def result(self, folder: Path) -> WriteResult:
        put = {a.path for a in self.changed}
        unchanged = tuple(a.path for a in self.everything if a.path not in put)
        edited = tuple(path for path, found in self.kept.items() if sha256(found) not in self.old.files[path])
        return WriteResult(folder, tuple(a.path for a in self.changed), unchanged, tuple(self.removed), tuple(self.kept), edited)


def manifest(artifacts: Iterable[Artifact], extra: Mapping[str, Any], rest: Mapping[str, str] | None = None) -> Artifact:
    """The manifest: `files` (path → sha256; `rest` of earlier runs) and whatever else identifies the run (tool version, rules digest)."""
    files = dict(sorted(({**(rest or {}), **{artifact.path: sha256(artifact.data) for artifact in artifacts}}).items()))
    return Artifact(MANIFEST, json.dumps({**extra, "files": files}, ensure_ascii=False, indent=2) + "\n")


def write_spec(
    out: Path,
    name: str,
    artifacts: Sequence[Artifact],
    manifest_extra: Mapping[str, Any],
    *,
    spec: Path | None = None,
    force: bool = False,
    prune: bool = False,
    partial: bool = False,
) -> WriteResult:
    """Write the files of one spec into `out/name`, all of them or none; `spec` is the file that the folder belongs to.

    With `partial` these are only some of the spec's files: the others stay as they are, in the manifest too.

    Raises `WriteError` (exit 5), with nothing changed, where a generated file was edited by hand, a file that we did
    not write is in the way or the folder is another spec's (unless `force`), where a symlink or something that is no folder
    lies on the way, and where the file system says no. Files that gen-deploy did not write there are never touched; own
    files that are no longer generated stay unless `prune`, and the manifest names them until they are gone.
    """
    folder = out / name
    extra = {**manifest_extra, **({"spec": _seen_from(folder, spec)} if spec else {})}

    def survey() -> _Survey:
        check_paths(out, name, [a.path for a in artifacts])
        return _survey(folder, artifacts, extra, force, prune, partial)

    with reported(folder):
        found = survey()
        if not found.changed and not found.removed and not leftovers(folder) and not (out / LOCK).exists():
            return found.result(folder)
        with _alone(out):
            found = survey()
            if not force:
                _refuse_another(folder, found.old, spec)
                _refuse_edited(folder, found)
            if found.changed or found.removed:
                _replace(folder, found)
            _sweep(folder)
        return found.result(folder)


def _survey(folder: Path, artifacts: Sequence[Artifact], extra: Mapping[str, Any], force: bool, prune: bool, partial: bool) -> _Survey:
    current = {a.path for a in artifacts}
    old = recorded(folder)
    rest = others(folder, old, current)
    ours = {str(PurePosixPath(path).parent) for path in current}
    seals = [path for path in rest if is_seal(path) and (not partial or str(PurePosixPath(path).parent) in ours)]
    stale = [] if partial else [path for path in rest if path not in seals]
    removed = [path for path in stale if prune and (force or sha256(rest[path]) in old.files[path])]
    kept = {path: found for path, found in rest.items() if path not in removed and path not in seals}
    digests = {path: digest if (digest := sha256(found)) in old.files[path] else min(old.files[path]) for path, found in kept.items()}
    everything = [*artifacts, manifest(artifacts, extra, digests)]
    there = {a.path: content(folder / a.path) for a in everything}
    changed = [a for a in everything if there[a.path] != a.data or not runs(folder, a)]
    present = [a.path for a in artifacts if is_seal(a.path) and there[a.path] is not None]
    return _Survey(everything, there, old, changed, [*removed, *seals], {} if partial else kept, [*seals, *present])


def _seen_from(folder: Path, spec: Path) -> str:
    """The path of a spec from its output folder; only its name where the two have nothing but the root in common."""
    file, here = os.path.realpath(spec), os.path.realpath(folder)
    try:
        shared = Path(os.path.commonpath([file, here]))
    except ValueError:  # two drives
        shared = Path(os.sep)
    return printable(spec.name if shared == shared.parent else os.path.relpath(file, here).replace(os.sep, "/"))


def _refuse_another(folder: Path, old: Recorded, spec: Path | None) -> None:
    """A folder of another spec that is still there is not overwritten; one that was moved is forgotten."""
    if spec is None or old.spec is None or "/" not in old.spec:
        return
    other = folder / old.spec
    if other.is_file() and not other.samefile(spec):
        raise refused(
            "another-spec",
            f"{folder} holds the files of {os.path.normpath(other)}, which has the name {folder.name!r} too: "
            f"give one of them another `name:` (--force gives the folder to {spec})",
        )


@contextlib.contextmanager
def _alone(out: Path) -> Iterator[None]:
    """Only one run at a time writes into `out`, which is made where it is missing; another one waits a while, then gives up."""
    from filelock import FileLock, Timeout  # a run that changes nothing needs no lock

    made = _make_folders(out)
    try:
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(FileLock(out / LOCK, timeout=LOCK_WAIT_S, fallback_to_soft=False))
            except Timeout:
                raise refused("locked", f"another gen-deploy is writing into {out}") from None
            except (OSError, NotImplementedError):
                pass  # a file system without locks; where nothing can be written the first file says so
            else:
                stack.callback(_remove_quietly, out / LOCK)  # while it is held: whoever waits for it looks again
            yield
    except BaseException:
        _remove_empty(made)
        raise


def _remove_quietly(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()


def _remove_empty(folders: Sequence[Path]) -> None:
    """Remove folders, the innermost last in the list; one that holds something stays."""
    for folder in reversed(folders):
        with contextlib.suppress(OSError):
            folder.rmdir()


def _sweep(folder: Path) -> None:
    """Remove the staging folders that killed runs left."""
    for path in leftovers(folder):
        shutil.rmtree(path, ignore_errors=True)


def _refuse_edited(folder: Path, found: _Survey) -> None:
    problems, edits = [], []
    for artifact in found.changed:
        there = found.there[artifact.path]
        if there is None or artifact.path == MANIFEST or there == artifact.data:
            continue
        at = folder / artifact.path
        if artifact.path not in found.old.files:
            problems.append(Problem("not-ours", f"{at} is in the way and was not written by gen-deploy (--force replaces it)"))
        elif sha256(there) not in found.old.files[artifact.path]:
            edits.append(Finding("edited", artifact.path, there, artifact.data))
            problems.append(Problem("edited-by-hand", f"{at} was edited by hand since it was generated (--force replaces it)"))
    if problems:
        raise EditedError(problems, edits)


def remove_spec(out: Path, name: str, *, force: bool = False) -> WriteResult:
    """Remove the files that gen-deploy wrote into `out/name`; what was edited by hand (unless `force`) or is not ours stays.

    Raises `WriteError` where the file system says no.
    """
    folder = out / name
    with reported(folder), _alone(out):
        check_paths(out, name, [])
        old = recorded(folder)
        there = others(folder, old, ())
        kept = [path for path, found in there.items() if not force and sha256(found) not in old.files[path]]
        removed = sorted((path for path in there if path not in kept), key=lambda path: not is_seal(path))
        if not kept:
            removed.append(MANIFEST)
        for path in removed:
            (folder / path).unlink()
        _sweep(folder)
        _remove_empty(sorted({p for path in removed for p in (folder / path).parents if p == folder or folder in p.parents}))
        return WriteResult(folder, removed=tuple(removed), kept=tuple(kept), edited=tuple(kept))


def _replace(folder: Path, found: _Survey) -> None:
    """Stage, then rename; undo what was renamed if one fails."""
    made = _make_folders(folder)
    try:
        placed = _Placed(folder, Path(tempfile.mkdtemp(prefix=STAGING, dir=folder)), made)
    except OSError:
        _remove_empty(made)
        raise
    final = found.everything[-1]
    new = {a.path: a for a in found.changed if a.path != MANIFEST}
    try:
        pending = json.loads(final.text) | {"unfinished": _digests_of(found, new)}
        placed.stage([*new.values(), final, Artifact("unfinished.json", json.dumps(pending, indent=2) + "\n")])
        for path in found.seals:
            placed.take(path)
        placed.put(MANIFEST, "unfinished.json")
        for path in new:
            if not is_seal(path):
                placed.put(path)
        for path in found.removed:
            if not is_seal(path):
                placed.take(path)
        placed.put(MANIFEST)
        for artifact in found.everything:
            if is_seal(artifact.path):
                placed.put(artifact.path) if artifact.path in new else placed.put_back(artifact.path)
    except BaseException:
        placed.undo()
        shutil.rmtree(placed.staging, ignore_errors=True)
        _remove_empty(made)
        raise
    shutil.rmtree(placed.staging, ignore_errors=True)
    _remove_empty(sorted({p for path in found.removed for p in (folder / path).parents if folder in p.parents}))


def _digests_of(found: _Survey, changed: Collection[str]) -> dict[str, str]:
    """The digests of our own files that are about to be replaced or removed."""
    there = {path: data for path, data in found.there.items() if path in changed and data is not None}
    ours = {path: sha256(data) for path, data in there.items() if sha256(data) in found.old.files.get(path, ())}
    return ours | {path: min(found.old.files[path]) for path in found.removed}


class _Placed:
    """The renames of one run, kept so that they can be undone. `made` are folders that were made, outermost first."""

    def __init__(self, folder: Path, staging: Path, made: list[Path]) -> None:
        self.folder, self.staging, self.made = folder, staging, made
        self._done: list[tuple[Path, Path | None]] = []

    def stage(self, artifacts: Sequence[Artifact]) -> None:
        """Write files into the staging folder and have them on the disk. The umask has its say in all."""
        for artifact in artifacts:
            path = self.staging / "new" / artifact.path
            path.parent.mkdir(parents=True, exist_ok=True)
            mode = 0o777 if artifact.executable else 0o666
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0), mode)
            with os.fdopen(handle, "wb") as file:
                file.write(artifact.data)
        (self.staging / "old").mkdir()
        flush(self.staging)

    def put(self, path: str, staged: str | None = None) -> None:
        """Put one staged file in place, keeping what stood there as a hard link or a copy."""
        target, kept = self.folder / path, None
        self.made += _make_folders(target.parent)
        if target.exists():
            kept = self._backup()
            try:
                kept.hardlink_to(target)
            except OSError:
                shutil.copy2(target, kept)
        (self.staging / "new" / (staged or path)).replace(target)
        self._done.append((target, kept))

    def take(self, path: str) -> None:
        """Take one file away."""
        target, kept = self.folder / path, self._backup()
        target.replace(kept)
        self._done.append((target, kept))

    def put_back(self, path: str) -> None:
        """Put a file back that was taken away."""
        target = self.folder / path
        kept = next(kept for at, kept in self._done if at == target and kept is not None)
        kept.replace(target)

    def undo(self) -> None:
        """Have everything as it was, as well as it goes."""
        for target, kept in reversed(self._done):
            with contextlib.suppress(OSError):
                if kept is None:
                    target.unlink()
                else:
                    kept.replace(target)

    def _backup(self) -> Path:
        return self.staging / "old" / str(len(self._done))


def flush(folder: Path) -> None:
    """Have the files below a folder on the disk before they are renamed: after a power cut each is the old one or the new one, never empty.

    On Linux one call for the whole file system (syncfs(2)), elsewhere one for each file.
    """
    import ctypes  # only those who write pay for it

    handle = os.open(folder, os.O_RDONLY) if hasattr(os, "O_DIRECTORY") else -1
    try:
        sync = getattr(ctypes.CDLL(None), "syncfs", None) if handle >= 0 else None
        if sync is not None and sync(handle) == 0:
            return
    finally:
        if handle >= 0:
            os.close(handle)
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("r+b") as file:
                os.fsync(file.fileno())


def _make_folders(path: Path) -> list[Path]:
    """Make a folder with those above it; returns what was made, outermost first."""
    missing = [p for p in (path, *path.parents) if not p.exists()]
    made: list[Path] = []
    for folder in reversed(missing):
        folder.mkdir(exist_ok=True)
        made.append(folder)
    return made

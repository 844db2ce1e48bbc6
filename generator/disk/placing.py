"""New files of a folder: they wait in a staging folder, are put in place by renames, and everything can be undone. Temporary
folders are removed completely when a signal ends the command. Floor 8."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from generator.render.artifact import Artifact


class Placed:
    """The renames of one run, kept so that they can be undone. `made` are folders that were made, outermost first."""

    def __init__(self, folder: Path, staging: Path, made: list[Path]) -> None:
        self.folder, self.staging, self.made = folder, staging, made
        self._done: list[tuple[Path, Path | None]] = []
        self._there: set[Path] = set()

    def stage(self, artifacts: Sequence[Artifact]) -> None:
        """Write files into the staging folder and have them on the disk. The umask has its say in all."""
        new = f"{self.staging}/new"
        for folder in sorted({f"{new}/{artifact.path}".rpartition("/")[0] for artifact in artifacts}):
            Path(folder).mkdir(parents=True, exist_ok=True)
        for artifact in artifacts:
            path = f"{new}/{artifact.path}"
            mode = 0o777 if artifact.executable else 0o666
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0), mode)
            with os.fdopen(handle, "wb") as file:
                file.write(artifact.data)
        (self.staging / "old").mkdir()
        flush(self.staging)

    def put(self, path: str, staged: str | None = None) -> None:
        """Put one staged file in place, keeping what stood there as a hard link or a copy."""
        target, kept = self.folder / path, None
        if target.parent not in self._there:
            self.made += make_folders(target.parent)
            self._there.add(target.parent)
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

    On Linux one call for the whole file system (syncfs(2)), elsewhere one for each file."""
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


def replace_file(path: Path, text: bytes) -> None:
    """Put a file in the place of the one that is there, if any: whole or not at all."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    staged = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        staged.chmod(path.stat().st_mode & 0o777 if path.exists() else 0o644)
        staged.replace(path)
    except BaseException:
        staged.unlink(missing_ok=True)
        raise


def make_folders(path: Path) -> list[Path]:
    """Make a folder with those above it; returns what was made, outermost first."""
    missing = [p for p in (path, *path.parents) if not p.exists()]
    made: list[Path] = []
    for folder in reversed(missing):
        folder.mkdir(exist_ok=True)
        made.append(folder)
    return made


@contextmanager
def held() -> Iterator[None]:
    """Delay signals that would end the command until the block has finished, if the system supports it."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A temporary folder; the standard library's one leaves files if a signal arrives while it is created or removed."""
    folder = None
    try:
        with held():
            folder = Path(tempfile.mkdtemp(prefix="gen-deploy-"))
        yield folder
    finally:
        if folder is not None:
            try:
                with held():
                    shutil.rmtree(folder, ignore_errors=True)
            finally:  # the signal may have come just before it was held; a second one ends the process anyway
                shutil.rmtree(folder, ignore_errors=True)

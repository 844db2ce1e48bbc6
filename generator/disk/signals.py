"""Folders that are there for a while, and go whole when a signal ends the command.

Floor 8.
"""

from __future__ import annotations

import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def held() -> Iterator[None]:
    """Signals that would end the command wait until what is done here is done, where the system can do that."""
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
    """A temporary folder; the standard library's leaves its files where a signal comes while it is made or removed."""
    folder = None
    try:
        with held():
            folder = Path(tempfile.mkdtemp(prefix="gen-deploy-"))
        yield folder
    finally:
        if folder is not None:
            with held():
                shutil.rmtree(folder, ignore_errors=True)

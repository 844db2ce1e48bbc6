"""Temporary folders that are removed completely when a signal ends the command. Floor 8."""

from __future__ import annotations

import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


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

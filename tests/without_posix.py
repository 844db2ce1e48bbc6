"""A pytest plugin that takes away what Windows lacks: modules, functions and flags of POSIX, and bash.

    python -m pytest -p without_posix tests/decide      (PYTHONPATH holds tests/)

The hosted workflow runs the same folders on Windows and macOS; this finds here what would fail there for want of POSIX. Paths with
backslashes and other encodings are not imitated. On Windows it does nothing.
"""

from __future__ import annotations

import importlib.abc
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pytest

MODULES = {"fcntl", "grp", "pwd", "posix", "resource", "syslog", "termios", "tty", "pty"}
NAMES = (
    "O_CLOEXEC", "O_DIRECTORY", "O_NOFOLLOW", "O_NONBLOCK", "O_NOCTTY", "O_SYNC", "chown", "fchmod", "fchown", "fork", "forkpty", "geteuid",
    "getegid", "getgid", "getuid", "lchown", "mkfifo", "register_at_fork", "sched_getaffinity", "setsid", "statvfs", "sync", "sysconf", "uname",
)  # fmt: skip
NOT_IMITATED = {
    "test_a_killed_run_is_recovered_from": "without fcntl the library of locks has a weaker one; Windows has its own",
    "test_a_hundred_files_are_quick": "CPU is counted on POSIX",
}
"""Tests that are right on Windows, or skipped there, but not in this imitation."""
PROGRAMS = ("bash", "sh", "/bin/sh", "/bin/bash")


class Missing(importlib.abc.MetaPathFinder):
    """Modules that Windows does not have."""

    def find_spec(self, name: str, path: object, target: object = None) -> None:
        """Refuse them, and leave all others to the next finder."""
        if name in MODULES:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def take_away() -> None:
    """Take them away, once the standard library has found its own system."""
    import asyncio  # noqa: F401
    import logging  # noqa: F401
    import multiprocessing.util  # noqa: F401
    import random  # noqa: F401
    import tempfile  # noqa: F401
    import threading  # noqa: F401

    own: Any = shutil
    own._use_fd_functions = False  # as on Windows
    own._rmtree_impl = getattr(shutil, "_rmtree_unsafe", None)
    for name in MODULES:
        sys.modules.pop(name, None)
    sys.meta_path.insert(0, Missing())
    own_os: Any = os
    own_os.cpu_count = lambda: 1  # only Linux decides in several processes
    for name in NAMES:
        if hasattr(os, name) and not (name == "getuid" and "_pytest" in sys.modules):  # pytest's own folders ask for it
            delattr(os, name)


def without_bash() -> None:
    """No shell is found, and none can be started by name."""
    found_by: Any = shutil
    started_by: Any = subprocess.Popen
    which, start = found_by.which, started_by.__init__

    def found(name: Any, *words: Any, **more: Any) -> Any:
        return None if name in PROGRAMS else which(name, *words, **more)

    def started(self: Any, command: Any, *words: Any, **more: Any) -> None:
        first = command if isinstance(command, str) else next(iter(command))
        if str(first) in PROGRAMS or str(first).endswith(".sh") or more.get("shell"):
            raise FileNotFoundError(2, "there is no bash here", str(first))
        start(self, command, *words, **more)

    found_by.which = found
    started_by.__init__ = started


def pytest_configure(config: Any) -> None:
    """Without fcntl the library of locks says that it has a weaker one; Windows has its own."""
    config.addinivalue_line("filterwarnings", "ignore:only soft file lock")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what is not imitated."""
    import pytest

    for item in items:
        name = getattr(item, "originalname", None) or item.name
        if os.name != "nt" and name in NOT_IMITATED:
            item.add_marker(pytest.mark.skip(reason=NOT_IMITATED[name]))


if os.name != "nt":
    take_away()
    without_bash()

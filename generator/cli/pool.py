"""Process many specs in parallel on the available processors.

Floor 8. Workers are forks, so that rule sets are read once; without fork, a single process does all the work."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from generator.cli.output import progress

Item = TypeVar("Item")
Result = TypeVar("Result")

WORTH = 16
"""Minimum items per process: fewer finish before a new process has started."""

_work: Callable[[int], object] | None = None


def each(function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """`function` of every item, in order. Results are sent between processes, so they must be plain data."""
    global _work
    processes = min(processors(), len(items) // WORTH)
    if processes < 2 or sys.platform != "linux":
        return [function(item) for item in progress(items, "decisions")]
    _work = lambda index: function(items[index])  # noqa: E731
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGHUP})  # only this process handles them and ends the others
    try:
        with multiprocessing.get_context("fork").Pool(processes, signal.signal, (signal.SIGTERM, signal.SIG_DFL)) as pool:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            return list(progress(pool.imap(_one, range(len(items)), chunksize=4), "decisions", len(items)))
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        _work = None


def _one(index: int) -> Any:
    assert _work is not None
    return _work(index)


def processors() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

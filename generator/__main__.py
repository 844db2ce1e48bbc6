"""The command `gen-deploy`, and `python -m generator`. Floor 8.

Ctrl-C or a signal prints one line and no traceback, at any moment. So nothing is imported here before the
handlers are set; all other imports follow. A signal raises an exception, so that temporary folders are removed."""

from __future__ import annotations

import gc
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType

SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")

GARBAGE = (100_000, 50, 50)
"""Threshold of the garbage collector: modules and plans are large trees without cycles, and its scans take a seventh of the time."""


class Stopped(BaseException):
    """A signal arrived; no `except Exception` catches it."""


def run() -> int:
    """Run the command line and return its exit code: 128 plus the signal's number if a signal stopped it, as in shells."""
    number = 2
    gc.set_threshold(*GARBAGE)
    try:
        import signal

        def stop(found: int, frame: FrameType | None) -> None:
            nonlocal number
            if number < 0:  # stopped before, still cleaning up
                _end(found)
            number = -found
            raise Stopped

        sys.unraisablehook = lambda lost: _end(-number) if isinstance(lost.exc_value, Stopped) else sys.__unraisablehook__(lost)
        for name in SIGNALS:
            kind = getattr(signal, name, None)
            if kind is not None and signal.getsignal(kind) is not signal.SIG_IGN:  # nohup, and jobs in the background
                signal.signal(kind, stop)
        from generator.cli import main

        code = main()
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # done: the interpreter's shutdown must stay silent
        if number < 0:
            return _tell(-number)  # an error during cleanup replaced the signal
        if sys.getprofile() is sys.gettrace() is None and sys.stderr is not None:
            try:
                sys.stderr.flush()
            finally:
                os._exit(code)  # `main` has flushed stdout; taking modules apart is a twentieth of a short run
        return code
    except (Stopped, KeyboardInterrupt):
        return _tell(abs(number))
    except Exception:
        if number > 0:
            raise
        return _tell(-number)  # Python put an error in the place of the signal, as it does while a class is made


def _tell(number: int) -> int:
    import contextlib

    name = {1: "SIGHUP", 2: "Ctrl-C", 15: "SIGTERM"}.get(number, f"signal {number}")
    with contextlib.suppress(OSError):
        os.write(2, f"error[stopped]: stopped by {name}\n".encode())  # in one piece, whatever state the streams are in
    return 128 + number


def _end(number: int) -> None:
    """Exit now: Python cannot propagate the exception, or a second signal arrived."""
    os._exit(_tell(number))


if __name__ == "__main__":
    sys.exit(run())

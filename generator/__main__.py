"""The command `gen-deploy`, and `python -m generator`. Floor 8.

Whoever stops it, with Ctrl-C or a signal, reads one line and no traceback, at any moment. So nothing is imported here before the
handlers are set, and all else is imported while they are. A signal is raised where the program is, so that temporary folders go.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType

SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")


class Stopped(BaseException):
    """A signal came; no `except Exception` holds it up."""


def run() -> int:
    """Run the command line and return its exit code: 128 and the signal's number where one stopped it, as shells have it."""
    number = 2
    try:
        import signal

        def stop(found: int, frame: FrameType | None) -> None:
            nonlocal number
            if number < 0:  # it was told before, and is still cleaning up
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
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # all is done; the interpreter's own end has nothing to tell
        return code if number > 0 else _tell(-number)  # an error in the cleaning up took the place of the signal
    except (Stopped, KeyboardInterrupt):
        return _tell(abs(number))


def _tell(number: int) -> int:
    import contextlib

    name = {1: "SIGHUP", 2: "Ctrl-C", 15: "SIGTERM"}.get(number, f"signal {number}")
    with contextlib.suppress(OSError):
        os.write(2, f"error[stopped]: stopped by {name}\n".encode())  # in one piece, whatever state the streams are in
    return 128 + number


def _end(number: int) -> None:
    """End here: the exception was raised where Python cannot pass it on, or the second signal came."""
    os._exit(_tell(number))


if __name__ == "__main__":
    sys.exit(run())

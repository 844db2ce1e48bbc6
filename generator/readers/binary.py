"""A reader of untrusted binary files: regular files only, read sequentially within a budget.

Floor 0. Shared by the GGUF and safetensors readers. Every problem of a file is an `InputError`."""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from generator.errors import InputError, Place, fail

_STEP = 1 << 20
MAX_HEADER_BYTES = 64 << 20
"""Maximum number of bytes read from a weights file."""
LFS_POINTER = b"version https://git-lfs.github.com/spec/v1\n"
MAX_POINTER_BYTES = 1024
READING = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
"""Flags to open a file of unknown kind: a FIFO does not block, and Windows does not translate bytes."""


Opened = tuple[BinaryIO, int]
"""An open file and its size in bytes."""


def open_regular(path: Path, name: str, what: str = "file", buffering: int = -1) -> Opened:
    """An open regular file and its size in bytes; `what` is its name in messages.

    Raises `InputError` for a file that is missing, unreadable, or not regular (a FIFO would block)."""
    try:
        handle = os.open(path, READING)
    except OSError as error:
        raise fail("unreadable", f"cannot read the {what}: {error.strerror}", Place(name)) from None
    except ValueError:
        raise fail("unreadable", "the path contains a NUL character", Place(name)) from None
    status = os.fstat(handle)
    if not stat.S_ISREG(status.st_mode):
        os.close(handle)
        raise fail("unreadable", "not a regular file", Place(name))
    return os.fdopen(handle, "rb", buffering=buffering), status.st_size


def read_piece(file: BinaryIO, count: int, name: str) -> bytes:
    """At most `count` bytes; raises `InputError` if reading fails or would block (as kernel files may)."""
    try:
        piece: bytes | None = file.read(count)
    except OSError as error:
        raise fail("unreadable", f"cannot read the file: {error.strerror}", Place(name)) from None
    if piece is None:
        raise fail("unreadable", "reading would block: no data is available", Place(name))
    return piece


class Reader:
    """Little-endian values from the start of a file; at most `budget` bytes are read.

    Raises `InputError`: `truncated` if the file ends early, `too-large` beyond the budget."""

    def __init__(self, path: Path, name: str, budget: int, opened: Opened | None = None) -> None:
        """`opened` is a file that is not on this disk, with its size in bytes."""
        self.name, self.budget = name, budget
        self._file, self.size = opened or open_regular(path, name, buffering=0)
        self._data = bytearray()
        self.position = 0
        if self.size <= MAX_POINTER_BYTES and self._file.read(len(LFS_POINTER)) == LFS_POINTER:
            self._file.close()
            raise self.error("lfs-pointer", "this is a Git LFS pointer, not the file itself: run `git lfs pull`")
        self._file.seek(0)

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()

    def error(self, code: str, message: str) -> InputError:
        """An error of this file, ready to raise."""
        return fail(code, message, Place(self.name))

    def check_spans(self, spans: Iterable[tuple[int, int]], start: int, code: str, gaps: bool) -> None:
        """Check that tensors, as begin and end behind `start`, do not overlap, have no `gaps` if there may be none, and lie in the file."""
        previous = 0
        for begin, end in sorted(spans):
            if begin < previous or (begin > previous and not gaps):
                raise self.error(code, "two tensors overlap" + ("" if gaps else ", or there is a gap between them"))
            previous = end
        if previous and start + previous > self.size:
            message = f"the file ends at byte {self.size}, but its tensors end at {start + previous}: an incomplete download?"
            raise self.error("truncated", message)

    def _need(self, end: int) -> None:
        if end > self.size:
            raise self.error("truncated", f"the file ends at byte {self.size}, within its header")
        if end > self.budget:
            raise self.error("too-large", f"the header is longer than {self.budget} bytes")
        while len(self._data) < end:
            wanted = min(self.budget, self.size, max(end, len(self._data) + _STEP)) - len(self._data)
            piece = read_piece(self._file, wanted, self.name)
            if not piece:
                raise self.error("truncated", f"the file ends at byte {len(self._data)}, within its header")
            self._data += piece

    def take(self, count: int) -> bytes:
        """The next `count` bytes."""
        start, end = self.position, self.position + count
        if end > len(self._data):
            self._need(end)
        self.position = end
        return bytes(self._data[start:end])

    def number(self, form: struct.Struct) -> int | float | bool:
        """The next value of a one-value struct."""
        start, end = self.position, self.position + form.size
        if end > len(self._data):
            self._need(end)
        self.position = end
        value: int | float | bool = form.unpack_from(self._data, start)[0]
        return value

    def skip(self, count: int) -> None:
        """Skip `count` bytes, which must exist."""
        self._need(self.position + count)
        self.position += count

    def skip_strings(self, count: int) -> None:
        """Skip `count` strings, each a 64-bit length and its bytes."""
        at, data, from_bytes = self.position, self._data, int.from_bytes
        loaded = len(data)
        for _ in range(count):
            if at + 8 > loaded:
                self._need(at + 8)
                loaded = len(data)
            at += 8 + from_bytes(data[at : at + 8], "little")
        self._need(at)
        self.position = at

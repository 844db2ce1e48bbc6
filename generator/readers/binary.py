"""Binary files in: a regular file, read forwards from its start and never past a budget.

Floor 0. Shared by the headers of GGUF and safetensors. Whatever is wrong with a file is an `InputError`.
"""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, BinaryIO

from generator.errors import InputError, Place, fail

_STEP = 1 << 20
MAX_HEADER_BYTES = 64 << 20
"""Bytes of a file of weights that are ever read."""
LFS_POINTER = b"version https://git-lfs.github.com/spec/v1\n"
MAX_POINTER_BYTES = 1024
READING = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
"""How a file is opened whose kind is not known yet: a FIFO does not block, and Windows changes no bytes."""


def open_regular(path: Path, name: str, what: str = "file", buffering: int = -1) -> tuple[BinaryIO, int]:
    """An open regular file and its size in bytes; `what` it is called in a message.

    Raises `InputError` for what is missing, unreadable, or no regular file (a FIFO would block).
    """
    try:
        handle = os.open(path, READING)
    except OSError as error:
        raise fail("unreadable", f"cannot read the {what}: {error.strerror}", Place(name)) from None
    except ValueError:
        raise fail("unreadable", "the path holds a NUL character", Place(name)) from None
    status = os.fstat(handle)
    if not stat.S_ISREG(status.st_mode):
        os.close(handle)
        raise fail("unreadable", "not a regular file", Place(name))
    return os.fdopen(handle, "rb", buffering=buffering), status.st_size


def header_pieces(file: IO[bytes]) -> Iterator[bytes]:
    """A file of weights from its start, in pieces, as far as its header can go: safetensors says how long it is, of others the budget is taken."""
    piece = file.read(_STEP)
    left = MAX_HEADER_BYTES
    if len(piece) >= 8 and not piece.startswith(b"GGUF"):
        left = min(left, 8 + int.from_bytes(piece[:8], "little"))
    while piece and left > 0:
        yield piece[:left]
        left -= len(piece)
        piece = file.read(min(_STEP, left)) if left > 0 else b""


def copy_header(source: IO[bytes], target: Path, size: int) -> int:
    """Write the header of a file of weights as a file of this size, in which the weights are a hole; returns the bytes that were taken."""
    with target.open("wb") as file:
        for piece in header_pieces(source):
            file.write(piece)
        taken = file.tell()
        file.truncate(size)
    return taken


def read_piece(file: BinaryIO, count: int, name: str) -> bytes:
    """At most `count` bytes; raises `InputError` where reading fails or would wait (files of the kernel do both)."""
    try:
        piece: bytes | None = file.read(count)
    except OSError as error:
        raise fail("unreadable", f"cannot read the file: {error.strerror}", Place(name)) from None
    if piece is None:
        raise fail("unreadable", "there is nothing to read yet, and nobody waits for it", Place(name))
    return piece


class Reader:
    """Little-endian values from the start of a file; at most `budget` bytes of it are ever read.

    Raises `InputError`: `truncated` where the file ends early, `too-large` where the budget does.
    """

    def __init__(self, path: Path, name: str, budget: int) -> None:
        self.name, self.budget = name, budget
        self._file, self.size = open_regular(path, name, buffering=0)
        self._data = bytearray()
        self.position = 0
        if self.size <= MAX_POINTER_BYTES and self._file.read(len(LFS_POINTER)) == LFS_POINTER:
            self._file.close()
            raise self.error("lfs-pointer", "Git LFS left a pointer here in place of the file: `git lfs pull` brings it")
        self._file.seek(0)

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()

    def error(self, code: str, message: str) -> InputError:
        """An error of this file, ready to raise."""
        return fail(code, message, Place(self.name))

    def _need(self, end: int) -> None:
        """Have the bytes up to `end` in memory."""
        if end > self.size:
            raise self.error("truncated", f"the file ends at byte {self.size}, within its header")
        if end > self.budget:
            raise self.error("too-large", f"the header is longer than the {self.budget} bytes that are read")
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
        """Pass over `count` bytes, which must be there."""
        self._need(self.position + count)
        self.position += count

    def skip_strings(self, count: int) -> None:
        """Pass over `count` strings, each a 64-bit length and its bytes."""
        at, data, from_bytes = self.position, self._data, int.from_bytes
        loaded = len(data)
        for _ in range(count):
            if at + 8 > loaded:
                self._need(at + 8)
                loaded = len(data)
            at += 8 + from_bytes(data[at : at + 8], "little")
        self._need(at)
        self.position = at

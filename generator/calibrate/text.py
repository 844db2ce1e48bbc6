"""The lines of a log that may say something: whatever the file, little time and memory.

Floor 7: reads the logs that the user names, and nothing else. An engine that served for a day writes a million lines and
says what it allocates on fifty of them. So a file is read in blocks, words that stand on such lines are looked for in
bytes, and only the lines around them are decoded and stripped of colours."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from generator.engines import log_parsers
from generator.engines.start_log import SELDOM, Line, Logged, date_of
from generator.errors import Place, fail
from generator.readers.binary import open_regular, read_piece

MAX_BYTES = 64 << 20
"""Only the first part of a longer log is read: an engine says what it allocates while it starts."""

MAX_LINE = 16_384
"""Characters of one line that are looked at; vLLM's longest line of interest has some 6,000."""

_BLOCK = 1 << 20
_HEAD = 4 * MAX_LINE
"""Bytes that hold the first `MAX_LINE` characters of a line."""

_KEPT = 128 << 10
"""Bytes of lines that are kept for one word."""

_NEWLINES = bytes.maketrans(b"\r", b"\n")
_DATE = re.compile(rb"20\d\d[-/]\d\d[-/]\d\d[T ]\d\d:\d\d")
_ESCAPE = re.compile(r"\x1b(?:\[[0-9;?]{0,32}[ -/]{0,4}[@-~]|\][^\x07\x1b]{0,256}(?:\x07|\x1b\\)?|[@-Z\\-_])")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


def read_lines(path: Path, words: Mapping[str, int]) -> list[Line]:
    """The lines of a log that hold one of `words` or a date, the first ones of each word.

    Raises `InputError` for what cannot be read or is no regular file."""
    file, _ = open_regular(path, str(path), "log")
    with file:
        return sift(file, words, str(path))


def sift(file: BinaryIO, words: Mapping[str, int], name: str = "log") -> list[Line]:
    """See `read_lines`; `words` are words and how many lines of each are kept."""
    wanted = [_Wanted(word.encode(), most) for word, most in words.items()]
    wanted.append(_Wanted(_DATE, SELDOM))
    lines, number = [], 1
    for block in _blocks(file, name):
        at = 0
        for start, end in sorted({span for one in wanted for span in one.lines(block)}):
            number += block.count(b"\n", at, start)
            lines.append(Line(number, _plain(block[start:end])))
            at = start
        number += block.count(b"\n", at)
    return lines


class _Wanted:
    """A word, and how many more lines with it are kept."""

    def __init__(self, word: bytes | re.Pattern[bytes], lines: int) -> None:
        self.word, self.left, self.room = word, lines, _KEPT

    def lines(self, block: bytes) -> Iterator[tuple[int, int]]:
        """Where lines with the word begin and end."""
        end = 0
        while self.left > 0 and self.room > 0 and (at := self._find(block, end)) >= 0:
            start, end = block.rfind(b"\n", 0, at) + 1, block.find(b"\n", at)
            end = len(block) if end < 0 else end
            self.left -= 1
            self.room -= min(end - start, _HEAD)
            yield start, min(end, start + _HEAD)

    def _find(self, block: bytes, at: int) -> int:
        if isinstance(self.word, bytes):
            return block.find(self.word, at)  # several times as fast as a pattern
        found = self.word.search(block, at)
        return found.start() if found else -1


def _blocks(file: BinaryIO, name: str) -> Iterator[bytes]:
    """The file in blocks of whole lines that end in a newline only; of a line longer than a block only its head counts."""
    left, rest = MAX_BYTES, b""
    first = True
    while left and (piece := read_piece(file, min(_BLOCK, left), name)):
        left -= len(piece)
        block = rest + (piece.removeprefix(b"\xef\xbb\xbf") if first else piece)
        first = False
        held = b"\r" if block.endswith(b"\r") else b""  # the other half of the line's end may follow
        if b"\r" in block:
            block = block.removesuffix(held).replace(b"\r\n", b"\n").translate(_NEWLINES)
        cut = block.rfind(b"\n") + 1
        yield block[:cut]
        rest = block[cut : cut + _HEAD] + held
    yield rest.translate(_NEWLINES)


def _plain(raw: bytes) -> str:
    """A line of bounded length, without escape sequences and control characters."""
    return _CONTROL.sub("", _ESCAPE.sub("", raw.decode("utf-8", "replace")[:MAX_LINE]))


PARSERS = log_parsers()
WORDS = {word: most for parser in PARSERS for word, most in parser.LOG.words.items()}


def read_log(path: Path) -> Logged:
    """A start-up log of vLLM, SGLang, TensorRT-LLM, llama.cpp or Ollama, or an excerpt of one.

    Raises `InputError` for what cannot be read and for a log in which none of them says what it allocates."""
    found = parse_log(read_lines(path, WORDS))
    if found is None:
        raise fail("unknown-log", "no line of vLLM, SGLang, TensorRT-LLM, llama.cpp (--log-verbosity 4) or Ollama says what was allocated", Place(str(path)))
    return found


def parse_log(lines: Sequence[Line]) -> Logged | None:
    """The log of the engine most of whose lines are here; None where nobody says what was allocated."""
    best = max(PARSERS, key=lambda parser: parser.LOG.mentions(lines))
    if not best.LOG.mentions(lines):
        return None
    logged = best.parse(lines)
    logged.date = date_of(lines)
    return logged if logged.figures else None

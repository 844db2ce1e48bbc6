"""Which engine wrote a log, and what it says. Floor 7: reads the logs that the user names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from generator.calibrate.text import read_lines
from generator.engines import log_parsers
from generator.engines.start_log import Line, Logged, date_of
from generator.errors import Place, fail

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

"""Generated shell text, split again and compared with the original words.

Floor 6, pure. `shlex` is a second parser, independent of bash; the tests use bash itself.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from generator.errors import internal


def same_words(block: str, expected: Sequence[str], text: str) -> None:
    """Raise an internal error unless `text` contains `block` verbatim and `block` splits into the words `expected`."""
    found = shlex.split(block)
    if found != list(expected) or block not in text:
        raise internal("not-as-meant", f"a script does not parse to the intended words: {found!r}")

"""Shell text, split again and compared with the words it was written from.

Floor 6, pure. `shlex` is a second reading, independent of bash; the tests ask bash itself.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from generator.errors import internal


def same_words(block: str, meant: Sequence[str], text: str) -> None:
    """Raise an internal error unless `block` stands in `text` as it is and splits into the words that were meant."""
    found = shlex.split(block)
    if found != list(meant) or block not in text:
        raise internal("not-as-meant", f"a script does not read back as it was meant: {found!r}")

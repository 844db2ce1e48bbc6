"""Words of a command line: literal text, a variable of the reader's environment, or a file that lies beside the script.

Floor 6, pure. The only place where a word becomes shell text.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from typing import Any, NamedTuple


class Ref(NamedTuple):
    """The value of an environment variable when the file is run; it must be set. `suffix` follows it literally."""

    name: str
    hint: str = ""
    suffix: str = ""


class Beside(NamedTuple):
    """A file or folder, relative to the folder that the script lies in (`there` is its path inside a container)."""

    path: str
    there: str = ""


class Home(NamedTuple):
    """A path below the reader's home folder, as `~/…` was meant."""

    path: str


Word = str | Ref | Beside | Home


def bash(word: Word) -> str:
    """A word as bash reads it back: one word, whatever it holds."""
    match word:
        case Ref(name, hint, suffix):
            return f'"${{{name}:?{hint}}}"' + (shlex.quote(suffix) if suffix else "")
        case Beside(path, _):
            return f'"$here"/{shlex.quote(path)}'
        case Home(path):
            return f'"$HOME"/{shlex.quote(path)}'
        case _:
            return shlex.quote(word)


def expected(word: Word) -> str:
    """What a splitter that expands nothing makes of `bash(word)`."""
    match word:
        case Ref(name, hint, suffix):
            return f"${{{name}:?{hint}}}{suffix}"
        case Beside(path, _):
            return f"$here/{path}"
        case Home(path):
            return f"$HOME/{path}"
        case _:
            return word


def plain(words: Iterable[Word]) -> list[str]:
    """Words for a template: shell text, quoted."""
    return [bash(word) for word in words]


def comment(text: Any) -> str:
    """Text for one comment line: nothing in it can end the line."""
    words = str(text)
    if words.isprintable():
        return words
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in words)

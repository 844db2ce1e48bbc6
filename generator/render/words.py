"""Words of a command line: literal text, an environment variable, or a file beside the script.

Floor 6, pure. The only module that turns a word into shell text."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from typing import NamedTuple


class Ref(NamedTuple):
    """The value of an environment variable at run time; it must be set. `suffix` follows it literally."""

    name: str
    hint: str = ""
    suffix: str = ""


class Beside(NamedTuple):
    """A file or folder, relative to the script's folder (`there` is its path inside a container)."""

    path: str
    there: str = ""


class Home(NamedTuple):
    """A path below the user's home folder (`~/…`)."""

    path: str


Word = str | Ref | Beside | Home


def bash(word: Word) -> str:
    """A word quoted for bash: a single word, for any content."""
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
    """`bash(word)` as parsed by a splitter without expansion."""
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
    """Words for a template: quoted shell text."""
    return [bash(word) for word in words]


def comment(text: object) -> str:
    """Text for one comment line, without line breaks."""
    words = str(text)
    if words.isprintable():
        return words
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in words)

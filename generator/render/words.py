"""Words of a command line: literal text, an environment variable, or a file beside the script.

Floor 6, pure. The only module that turns a word into shell text. Beside the shell's rule stand those of the other platforms, but for Compose's
(`compose.py`); each is tested against the real reader."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from typing import NamedTuple

from generator.errors import internal


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


_UNIT_WORD = re.compile(r'"((?:[^"\\]|\\.)*)"(?: |\Z)')
_NAMED = {"\n": "\\n", "\t": "\\t", '"': '\\"', "\\": "\\\\"}


def pod(word: Word) -> str:
    """In Kubernetes a word of `command`, `args` or an `env` value: `$(NAME)` is expanded, `$$` is a dollar, so every dollar is doubled."""
    match word:
        case Ref(name, _, suffix):
            return f"$({name})" + suffix.replace("$", "$$")
        case str():
            return word.replace("$", "$$")
    raise internal("bad-word", "a host path cannot be used in a pod")


def unit(word: Word, dollars: bool = True) -> str:
    """A word of a systemd unit or a Quadlet file, quoted: `%` begins a specifier, and in commands (`dollars`) `$` a variable."""
    match word:
        case Ref(name, _, suffix):
            return f'"${{{name}}}{unit(suffix)[1:-1]}"'
        case str():
            text = word.replace("%", "%%").replace("$", "$$" if dollars else "$")
            return '"' + "".join(_NAMED.get(c) or (c if c.isprintable() else f"\\U{ord(c):08x}" if ord(c) > 0x7F else f"\\x{ord(c):02x}") for c in text) + '"'
    raise internal("bad-word", "a unit knows neither its own folder nor a home")


def unit_words(line: str, dollars: bool = True) -> list[str]:
    """The words of a line that `unit` wrote, as systemd reads them, variables apart."""
    found, at = list[str](), 0
    while at < len(line):
        word = _UNIT_WORD.match(line, at)
        if word is None:
            raise internal("not-as-meant", "a unit does not parse to the intended words")
        text = re.sub(r"\\(x..|U.{8}|.)", lambda m: {"n": "\n", "t": "\t"}.get(m[1]) or (chr(int(m[1][1:], 16)) if m[1][1:] else m[1]), word[1])
        found.append((text.replace("$$", "$") if dollars else text).replace("%%", "%"))
        at = word.end()
    return found

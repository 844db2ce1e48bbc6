"""How a word is kept from what each platform expands: the only module that knows these rules. Floor 6, pure.
The shell's rule is in `words.py`, Compose's in `compose.py`; each is tested against the real reader."""

from __future__ import annotations

import re

from generator.errors import internal
from generator.render.words import Ref, Word

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

"""Lists of module names in checkpoint configs: exact names, prefixes, globs and `re:` patterns. Floor 3, pure. Names are compared from
`layers.N.` on, since tools use different prefixes."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable

from generator.errors import Place, fail

_OUTER = ("model.", "language_model.", "backbone.", "transformer.", "text_model.")
_MAX_PATTERNS = 256
_MAX_REPEATS = 5
_QUANTIFIED_GROUP = re.compile(r"\)\s*[*+{?]")
_REPEATS = re.compile(r"[*+{]")


def inner(name: str) -> str:
    """A module's name without the prefix of the enclosing models."""
    while True:
        outer = next((o for o in _OUTER if name.startswith(o)), None)
        if outer is None:
            return name
        name = name[len(outer) :]


class Modules:
    """A set of modules with a membership test."""

    def __init__(self, entries: Iterable[str], place: Place | None = None) -> None:
        self._exact: set[str] = set()
        self._prefixes: set[str] = set()
        self._patterns: list[re.Pattern[str]] = []
        for entry in entries:
            if entry.startswith("re:"):
                self._patterns.append(_regex(entry[3:], place))
            elif entry.endswith("*") and not any(c in entry[:-1] for c in "*?["):
                self._prefixes.add(inner(entry[:-1]))
            elif any(c in entry for c in "*?["):
                # a glob for a module includes its submodules
                self._patterns.append(re.compile(fnmatch.translate(entry)))
                self._patterns.append(re.compile(fnmatch.translate(entry + ".*")))
            else:
                self._exact.add(inner(entry))
            if len(self._patterns) > _MAX_PATTERNS:
                raise fail("bad-model-config", f"model config: more than {_MAX_PATTERNS} module patterns", place)
        self._lengths = sorted({len(p) for p in self._prefixes})
        self._words: dict[str, set[int]] = {}
        """numbers of words of the exact names, by their first word"""
        for name in self._exact:
            first, *more = name.split(".")
            self._words.setdefault(first, set()).add(1 + len(more))

    def __bool__(self) -> bool:
        return bool(self._exact or self._prefixes or self._patterns)

    def __contains__(self, name: str) -> bool:
        if self._exact:
            words = name.split(".")
            for first, word in enumerate(words):
                for count in self._words.get(word, ()):
                    if ".".join(words[first : first + count]) in self._exact:
                        return True
        if any(name[:length] in self._prefixes for length in self._lengths):
            return True
        if not self._patterns:
            return False
        forms = (name, f"model.{name}", f"language_model.model.{name}", f"model.language_model.{name}")
        return any(pattern.match(form) for pattern in self._patterns for form in forms)


def _regex(text: str, place: Place | None) -> re.Pattern[str]:
    """A pattern without catastrophic backtracking: no repeated group, few repeats."""
    if len(text) > 500 or _QUANTIFIED_GROUP.search(text) or len(_REPEATS.findall(text)) > _MAX_REPEATS:
        raise fail("bad-model-config", f"model config: module pattern too complex: {text[:60]!r}", place)
    try:
        return re.compile(text)
    except (re.error, OverflowError, RecursionError) as error:
        raise fail("bad-model-config", f"model config: bad module pattern {text[:60]!r}: {error}", place) from None

"""The effect of another engine version on a deployment: changed options, and options that the version refuses.

Floor 7, pure: from two launches to changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from generator.errors import Problem
from generator.quantity import grouped
from generator.render.artifact import Artifact
from generator.render.launch import Launch
from generator.render.words import expected
from generator.rulebook.book import RuleBook
from generator.verify.files import Asked, check_text


class Change(NamedTuple):
    """One changed option: old and new value, None if absent; `--flag: ` is a switch."""

    word: str
    old: str | None
    new: str | None


def changes(old: Launch, new: Launch) -> list[Change]:
    """The options of a deployment that differ between two versions: command line, file, environment, Modelfile."""
    before, after = _words(old), _words(new)
    both = [Change(word, before.get(word), after.get(word)) for word in dict.fromkeys([*before, *after])]
    return [change for change in both if change.old != change.new]


def broken(files: Sequence[Artifact], engine: str, version: str, book: RuleBook) -> list[Problem]:
    """The findings of the new version in the files of the old one."""
    ours, asked = [file for file in files if file.path.startswith(f"{engine}/")], Asked(engine, version)
    found = [finding for file in ours for finding in check_text(file.path, file.text, book, asked).findings]
    return [same[0] for same in grouped(found, lambda one: (one.code, one.message))]


def _words(launch: Launch) -> dict[str, str]:
    positional, flags = launch.options()
    found = {flag: " ".join(map(expected, values or ())) for flag, values in {**({"model": positional} if positional else {}), **flags}.items()}
    found |= {f"{key}:": value for key, value in _flat(launch.spelled.config).items()}
    found |= {f"{name}=": expected(value) for name, value in launch.env().items()}
    found |= {f"PARAMETER {name}": " ".join(values) for name, values in launch.spelled.parameters.items()}
    return found


def _flat(data: Mapping[str, object], prefix: str = "") -> dict[str, str]:
    found: dict[str, str] = {}
    for key, value in data.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = str(value).lower() if isinstance(value, bool) else str(value)
    return found

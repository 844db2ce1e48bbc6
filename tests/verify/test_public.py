"""Commands that people published are right, and broken copies of them are found: the score of each kind, for those in view and those held out."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from commands import KINDS, Command, broken, commands

LEAST = 0.92
"""Share of the broken copies of a kind that are found."""


def test_enough_are_public_and_held_out() -> None:
    assert sum(not command.held_out for command in commands()) >= 100
    assert sum(command.held_out for command in commands()) >= 40
    assert all(command.entry["address"].startswith("https://") for command in commands())


@pytest.mark.parametrize("command", commands(), ids=lambda command: command.entry["address"].partition("github.com/")[2])
def test_no_false_error(command: Command) -> None:
    report = command.report()
    assert report.checked
    errors = [finding.message for finding in report.findings if finding.severity == "error"]
    refused = command.entry.get("refused", [])
    assert len(errors) == len(refused), errors
    assert all(any(word in error for error in errors) for word in refused)


def test_broken_copies_are_found() -> None:
    made, found, missed = Counter[tuple[str, bool]](), Counter[tuple[str, bool]](), []
    for command, kind, what, text in broken():
        before = {finding.message for finding in command.report().findings}
        seen = [one for one in command.report(text).findings if one.severity != "note" and one.message not in before]
        made[kind, command.held_out] += 1
        found[kind, command.held_out] += bool(seen)
        if not seen:
            missed.append(f"{kind}: {what} ({command.engine} {command.entry['version']}, {command.entry['address']})")
    print()
    for kind in KINDS:
        print(f"{kind:24}" + "".join(f"{found[kind, held]:5} of {made[kind, held]:3} {part}" for held, part in ((False, "in view"), (True, "held out"))))
    print("\n".join(missed))
    for kind in KINDS:
        for held in (False, True):
            assert made[kind, held] >= 20
            assert found[kind, held] >= LEAST * made[kind, held], (kind, held)

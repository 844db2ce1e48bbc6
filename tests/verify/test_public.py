"""Commands that people published are right, and broken copies of them are found: the score of each kind, for those in view and those held out."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from commands import KINDS, Command, broken, commands

LEAST = 0.92
"""Share of the broken copies of a kind that are found."""

MOST_CPU = 8
"""CPU of a hundred files against that of importing four libraries: two seconds where that takes a quarter of one."""


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


def test_the_plan_of_a_command_says_the_same(tmp_path: Path) -> None:
    same, count, short = Counter[bool](), Counter[bool](), []
    for i, command in enumerate(commands()):
        otherwise = command.restated(tmp_path / str(i))
        count[command.held_out] += 1
        same[command.held_out] += otherwise == []
        if otherwise != []:
            short.append(f"{command.engine} {command.entry['address']}: {otherwise or 'no plan'}")
    print(f"\nthe same argv: {same[False]} of {count[False]} in view, {same[True]} of {count[True]} held out", *short, sep="\n")
    assert all(same[held] >= 0.9 * count[held] for held in (False, True))


def cpu(*words: str) -> float:
    """Seconds of CPU of a Python process."""
    import resource  # not on Windows

    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *words], check=False, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


@pytest.mark.skipif(os.name == "nt", reason="CPU is counted on POSIX only")
def test_a_hundred_files_are_quick(tmp_path: Path) -> None:
    for i, command in enumerate(commands()[:100]):
        (tmp_path / f"{i}-{command.entry['name']}").write_text(command.entry["text"], encoding="utf-8")
    imports = min(cpu("-c", "import click, yaml, jinja2, jsonschema") for _ in range(3))
    took = min(cpu("-m", "generator", "verify", str(tmp_path), "--quiet") for _ in range(2))
    print(f"\n100 files: {took:.2f} s of CPU, {took / imports:.1f} times the imports")
    assert took < MOST_CPU * imports

"""Output: results to stdout, messages to stderr, both in colour and with a line of progress where they are a terminal."""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
import time
from collections.abc import Iterable, Iterator, Sequence, Sized
from itertools import islice
from typing import TYPE_CHECKING, TextIO, TypeVar

import click

from generator.errors import DONE, Cap, GenDeployError, NothingFits, Problem, capped
from generator.report.summary import MOST, refusal

if TYPE_CHECKING:
    from generator.decide.decision import Outcome
    from generator.plan import Candidate


CAP = "generator.cap"
Item = TypeVar("Item")
SCHEMA_VERSION = 1
"""Of what commands print with `--json`, apart from a plan, which has its own."""
FIRST, AGAIN = 0.5, 0.1
"""Seconds until the line of progress appears, and until it changes."""
SEVERITY = re.compile(r"\b(error|warning)(\[[\w.-]+\])?(?=:)")
COLOURS = {"error": "red", "warning": "yellow"}
_progress = ""
"""The line of progress that is on the terminal now."""


def _terminal(stream: TextIO | None) -> bool:
    """Whether a stream is a terminal that can move its cursor."""
    return stream is not None and stream.isatty() and os.environ.get("TERM") != "dumb"


def show(text: str, err: bool = False) -> None:
    """Print a result to stdout, or a message to stderr.

    On a terminal its severities are in colour (never with NO_COLOR), and it takes the place of a line of progress."""
    stream = sys.stderr if err else sys.stdout
    if _terminal(stream):
        _erase()
        if not os.environ.get("NO_COLOR"):
            text = SEVERITY.sub(lambda found: click.style(found[1], fg=COLOURS[found[1]]) + click.style(found[2] or "", dim=True), text)
    click.echo(text, err=err)


def _erase() -> None:
    global _progress
    if _progress:
        click.echo("\r" + " " * len(_progress) + "\r", err=True, nl=False)
        _progress = ""


def progress(items: Iterable[Item], what: str, of: int | None = None) -> Iterator[Item]:
    """The items, and on a terminal how many of them are done, in one line of stderr, from half a second on; nothing in a pipe or CI."""
    global _progress
    if not _terminal(sys.stderr) or os.environ.get("CI"):
        yield from items
        return
    total = of if of is not None else len(items) if isinstance(items, Sized) else None
    due = time.monotonic() + FIRST
    try:
        for number, item in enumerate(items):
            if (now := time.monotonic()) >= due:
                due = now + AGAIN
                _erase()
                _progress = f"{what}: {number} of {total}" if total is not None else f"{what}: {number}"
                click.echo(_progress, err=True, nl=False)
            yield item
    finally:
        _erase()


def say(problems: Iterable[Problem]) -> None:
    """Print problems to stderr, one per line: the first of each kind, and a count of the rest when the command ends."""
    context = click.get_current_context(silent=True)
    if context is None:
        _print(capped(problems))
        return
    if CAP not in context.meta:
        context.meta[CAP] = cap = Cap()
        context.find_root().call_on_close(lambda: _print(cap.rest()))
    _print(problem for problem in problems if context.meta[CAP].passes(problem))


def _print(problems: Iterable[Problem]) -> None:
    for problem in problems:
        show(str(problem), err=True)


def say_errors(errors: Sequence[GenDeployError]) -> int:
    """Print the problems of several errors to stderr; returns the highest exit code, 0 for none."""
    for error in errors:
        say(error.problems)
    return max((error.exit_code for error in errors), default=DONE)


def chosen(outcome: Outcome) -> Candidate:
    """The choice. Without one, prints `refused` and raises `NothingFits`."""
    if outcome.plan.choice is not None:
        return outcome.plan.choice
    tell(refused(outcome))
    raise NothingFits(())


def refused(outcome: Outcome) -> str:
    """Why nothing fits, at the pins of the spec or its start, and what to write so that something does."""
    from generator.decide.cures import cures  # only refusals pay for the tries
    from generator.decide.decision import decide

    context, document = outcome.context, outcome.context.spec.document
    found = list(islice(cures(context, outcome.plan, lambda spec: decide(spec, context.book).plan), MOST))
    text = refusal(outcome.plan, str(document.place(("pin",))) if document.name else outcome.plan.name, found)
    if found and not document.name:
        text += f"\n  (`gen-deploy init {context.spec.words}` writes a spec, which takes such words)"
    return text


def tell(text: str) -> None:
    """Print a message to stderr; a closed stderr is ignored."""
    with contextlib.suppress(OSError):
        show(text, err=True)


def report(text: str) -> None:
    """Print a line about finished work to stdout; if stdout fails, the work continues."""
    try:
        show(text)
    except OSError as error:
        close_stdout()
        if not isinstance(error, BrokenPipeError):  # the reader closed the pipe on purpose
            tell(f"warning: standard output: {error.strerror or error}; the files are written nevertheless")


def close_stdout() -> None:
    """Point stdout nowhere, so that the interpreter's own flush at the end cannot fail again."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def show_json(data: object, versioned: bool = True) -> None:
    """Print a result as JSON to stdout; objects, or those of a list, say their `schema_version` (`gen-deploy schema COMMAND-json` has the form)."""
    if versioned:
        data = [_versioned(one) for one in data] if isinstance(data, list) else _versioned(data)
    click.echo(json.dumps(data, indent=2, ensure_ascii=False))


def answer(data: object, text: str, as_json: bool, versioned: bool = True) -> int:
    """Print a result as JSON or as text; returns the exit code of a command that is done."""
    if as_json:
        show_json(data, versioned)
    elif text:
        show(text)
    return DONE


def show_all_json(objects: Sequence[object], several: bool) -> None:
    """Print what a command says of one spec, or the list for several; nothing for one of which there is nothing to say."""
    if objects or several:
        show_json(list(objects) if several else objects[0])


def _versioned(data: object) -> object:
    return {"schema_version": SCHEMA_VERSION, **data} if isinstance(data, dict) else data

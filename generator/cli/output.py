"""Output: results to stdout, messages to stderr."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterable
from itertools import islice
from typing import TYPE_CHECKING

import click

from generator.errors import DONE, Cap, GenDeployError, Problem, capped
from generator.report.summary import MOST, refusal

if TYPE_CHECKING:
    from generator.decide.decision import Outcome


CAP = "generator.cap"


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
        click.echo(str(problem), err=True)


def say_errors(errors: Iterable[GenDeployError]) -> int:
    """Print the problems of several errors to stderr; returns the highest exit code, 0 for none."""
    code = DONE
    for error in errors:
        say(error.problems)
        code = max(code, error.exit_code)
    return code


def refused(outcome: Outcome) -> str:
    """The reasons why nothing fits, at the pins of the spec or its start, and what to write so that something does."""
    from generator.decide.cures import cures  # only refusals pay for the tries
    from generator.decide.decision import decide

    context = outcome.context
    found = cures(context, outcome.plan, lambda spec: decide(spec, context.book).plan)
    return refusal(outcome.plan, str(context.spec.document.place(("pin",))), list(islice(found, MOST)))


def tell(text: str) -> None:
    """Print a message to stderr; a closed stderr is ignored."""
    with contextlib.suppress(OSError):
        click.echo(text, err=True)


def show(text: str) -> None:
    """Print a result to stdout."""
    click.echo(text)


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


def show_json(data: object) -> None:
    """Print a result as JSON to stdout."""
    click.echo(json.dumps(data, indent=2, ensure_ascii=False))

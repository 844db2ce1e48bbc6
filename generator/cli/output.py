"""What is printed: results to stdout, messages to stderr."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import click

from generator.errors import DONE, GenDeployError, Problem
from generator.report.summary import refusal

if TYPE_CHECKING:
    from generator.decide.decision import Outcome


def say(problems: Iterable[Problem]) -> None:
    """Problems, one a line, on stderr."""
    for problem in problems:
        click.echo(str(problem), err=True)


def say_errors(errors: Iterable[GenDeployError]) -> int:
    """The problems of several errors on stderr; returns the highest of their exit codes, 0 for none."""
    code = DONE
    for error in errors:
        say(error.problems)
        code = max(code, error.exit_code)
    return code


def refused(outcome: Outcome) -> str:
    """Why nothing fits, at the pins of the spec or its start."""
    return refusal(outcome.plan, str(outcome.context.spec.document.place(("pin",))))


def tell(text: str) -> None:
    """A message on stderr; where that takes nothing, nobody can be told."""
    with contextlib.suppress(OSError):
        click.echo(text, err=True)


def show(text: str) -> None:
    """A result on stdout."""
    click.echo(text)


def report(text: str) -> None:
    """A line on stdout about what has been done already: where stdout cannot take it, the work goes on."""
    try:
        show(text)
    except OSError as error:
        close_stdout()
        if not isinstance(error, BrokenPipeError):  # the reader of a pipe went away on purpose
            tell(f"warning: standard output: {error.strerror or error}; the files are written all the same")


def close_stdout() -> None:
    """Point stdout nowhere, so that the interpreter's own flush at the end cannot fail again."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def show_json(data: Any) -> None:
    """A result as JSON on stdout."""
    click.echo(json.dumps(data, indent=2, ensure_ascii=False))

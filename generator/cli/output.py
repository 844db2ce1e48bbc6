"""What is printed: results to stdout, messages to stderr."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import click

from generator.errors import DONE, Cap, GenDeployError, Problem, capped
from generator.report.summary import refusal

if TYPE_CHECKING:
    from generator.decide.decision import Outcome


CAP = "generator.cap"


def say(problems: Iterable[Problem]) -> None:
    """Problems, one a line, on stderr; of one kind the first ones, and at the end of the command how many more there were."""
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
    """A message on stderr."""
    click.echo(text, err=True)


def show(text: str) -> None:
    """A result on stdout."""
    click.echo(text)


def show_json(data: Any) -> None:
    """A result as JSON on stdout."""
    click.echo(json.dumps(data, indent=2, ensure_ascii=False))

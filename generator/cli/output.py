"""What is printed: results to stdout, messages to stderr."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import click

from generator.errors import Problem


def say(problems: Iterable[Problem]) -> None:
    """Problems, one a line, on stderr."""
    for problem in problems:
        click.echo(str(problem), err=True)


def tell(text: str) -> None:
    """A message on stderr."""
    click.echo(text, err=True)


def show(text: str) -> None:
    """A result on stdout."""
    click.echo(text)


def show_json(data: Any) -> None:
    """A result as JSON on stdout."""
    click.echo(json.dumps(data, indent=2, ensure_ascii=False))

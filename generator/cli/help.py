"""`gen-deploy help`: what a command does."""

from __future__ import annotations

import click

from generator.cli.output import show
from generator.errors import DONE, Problem, UsageError, did_you_mean


@click.command("help")
@click.argument("words", nargs=-1, metavar="[COMMAND]")
@click.pass_context
def command(context: click.Context, words: tuple[str, ...]) -> int:
    """Show what COMMAND does and takes; without it, all commands."""
    found = context.find_root()
    for word in words:
        group = found.command
        known = group.list_commands(found) if isinstance(group, click.Group) else []
        inner = group.get_command(found, word) if isinstance(group, click.Group) else None
        if inner is None:
            raise UsageError(Problem("usage", f"{word!r} is not a command{did_you_mean(word, known)}"))
        found = click.Context(inner, info_name=word, parent=found)
    show(found.get_help())
    return DONE

"""`gen-deploy list`: the catalogue."""

from __future__ import annotations

import click

from generator.cli import options
from generator.cli.output import show, show_json
from generator.errors import DONE
from generator.report.catalogue import KINDS, rows_of, table
from generator.rulebook.book import RuleBook


@click.command("list")
@click.argument("kind", type=click.Choice(list(KINDS)), metavar="gpus|models|methods|engines|rules")
@click.argument("word", default="")
@options.options(options.book_option, options.json_option)
def command(kind: str, word: str, book: RuleBook, as_json: bool) -> int:
    """List the catalogue of the rule set, or what has WORD in its name."""
    rows = rows_of(kind, book, word)
    if as_json:
        show_json(rows, versioned=False)
    else:
        show(table(rows, KINDS[kind]))
    return DONE

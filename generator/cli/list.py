"""`gen-deploy list`: the catalogue."""

from __future__ import annotations

import click

from generator.cli import options
from generator.cli.output import answer
from generator.report.catalogue import KINDS, rows_of, table
from generator.rulebook.book import RuleBook


@click.command("list")
@click.argument("kind", type=click.Choice(list(KINDS)), metavar="gpus|models|methods|engines|rules")
@click.argument("word", default="")
@options.options(options.book_option, options.json_option)
def command(kind: str, word: str, book: RuleBook, as_json: bool) -> int:
    """List the catalogue of the rule set, or what has WORD in its name."""
    rows = rows_of(kind, book, word)
    return answer(rows, table(rows, KINDS[kind]), as_json, versioned=False)

"""`gen-deploy schema`: the JSON Schemas that ship."""

from __future__ import annotations

import click

from generator.cli.output import show_json
from generator.errors import DONE, Problem, UsageError, did_you_mean
from generator.rulebook import schemas


@click.command("schema")
@click.argument("name", default="spec")
@click.option("--json", is_flag=True, expose_value=False, hidden=True)
def command(name: str) -> int:
    """Print a JSON Schema: the spec's, or NAME."""
    known = schemas.names()
    if name not in known:
        raise UsageError(Problem("unknown-schema", f"no schema {name!r}{did_you_mean(name, known)} (one of {', '.join(known)})"))
    show_json(schemas.schema(name), versioned=False)
    return DONE

"""`gen-deploy schema`: the JSON Schemas that ship."""

from __future__ import annotations

import json

import click

from generator.cli.output import show
from generator.errors import DONE, Problem, UsageError, did_you_mean
from generator.readers.resources import folder


@click.command("schema")
@click.argument("name", default="spec")
def command(name: str) -> int:
    """Print a JSON Schema: the spec's, or NAME."""
    known = {path.stem: path for path in sorted((folder("rules") / "schemas").glob("*.json"))}
    if name not in known:
        raise UsageError(Problem("unknown-schema", f"no schema {name!r}{did_you_mean(name, known)} (one of {', '.join(known)})"))
    show(json.dumps(json.loads(known[name].read_bytes()), indent=2, ensure_ascii=False))
    return DONE

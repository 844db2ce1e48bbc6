"""`gen-deploy init`: a commented starter spec."""

from __future__ import annotations

from pathlib import Path

import click

from generator.cli.output import show
from generator.errors import DONE, Problem, WriteError
from generator.resources import folder


@click.command("init")
@click.argument("path", default="spec.yaml", type=click.Path(path_type=Path))
@click.option("--force", is_flag=True, help="Overwrite PATH if it exists.")
def command(path: Path, force: bool) -> int:
    """Write a commented starter spec to PATH (default: spec.yaml)."""
    text = (folder("templates") / "starter.yaml").read_text(encoding="utf-8")
    try:
        with path.open("w" if force else "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise WriteError(Problem("exists", f"{path} is there already (--force overwrites it)")) from None
    except OSError as error:
        raise WriteError(Problem("cannot-write", f"{path}: {error.strerror}")) from None
    show(f"{path}: edit it, then `gen-deploy {path} -o out`")
    return DONE

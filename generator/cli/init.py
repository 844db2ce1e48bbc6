"""`gen-deploy init`: a commented starter spec, or the files for a repository of specs."""

from __future__ import annotations

from pathlib import Path

import click

from generator import __version__
from generator.cli.output import show
from generator.errors import DONE, Problem, WriteError
from generator.readers.resources import folder

PROJECT = {
    "gen-deploy.yaml": ("gen-deploy.yaml", "the project file: name your specs in it"),
    ".pre-commit-config.yaml": ("pre-commit-config.yaml", "hooks for `pre-commit install`"),
    ".github/workflows/gen-deploy.yml": ("workflow.yaml", "the review of pull requests"),
}
"""Files of `--project`: path, template and description."""


@click.command("init")
@click.argument("path", default="spec.yaml", type=click.Path(path_type=Path))
@click.option("--project", is_flag=True, help="Write gen-deploy.yaml, .pre-commit-config.yaml and a workflow instead; nothing is overwritten.")
@click.option("--force", is_flag=True, help="Overwrite PATH if it exists.")
def command(path: Path, project: bool, force: bool) -> int:
    """Write a commented starter spec to PATH (default: spec.yaml)."""
    if project:
        return _project()
    text = (folder("templates") / "starter.yaml").read_text(encoding="utf-8")
    if not _written(path, text, force):
        raise WriteError(Problem("exists", f"{path} already exists (--force overwrites it)"))
    show(f"{path}: edit it, then `gen-deploy {path} -o out`")
    return DONE


def _project() -> int:
    for name, (template, what) in PROJECT.items():
        text = (folder("templates") / "project" / template).read_text(encoding="utf-8").replace("{version}", __version__)
        show(f"{name}: {what}" if _written(Path(name), text, force=False) else f"{name}: already exists; not changed")
    return DONE


def _written(path: Path, text: str, force: bool) -> bool:
    """Write a file; False if it exists already. Raises `WriteError` if the file system refuses."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w" if force else "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        return False
    except OSError as error:
        raise WriteError(Problem("cannot-write", f"{path}: {error.strerror}")) from None
    return True

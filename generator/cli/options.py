"""Options that several commands share, and the specs that a command works on."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import click

from generator.errors import InputError, Problem
from generator.spec import DeploymentSpec
from generator.spec import read_spec as spec_of

F = TypeVar("F", bound=Callable[..., Any])

rules_option = click.option("--rules", metavar="NAME-OR-DIR", default="default", show_default=True, help="The rule set.")
engine_option = click.option("--engine", metavar="ENGINE", help="Pin the engine (the same as `pin: {engine: …}`).")
all_engines_option = click.option("--all-engines", is_flag=True, help="Every engine that fits, not only the best.")
json_option = click.option("--json", "as_json", is_flag=True, help="JSON on stdout.")
quiet_option = click.option("-q", "--quiet", is_flag=True, help="Errors only.")
verbose_option = click.option("-v", "--verbose", is_flag=True, help="Say more.")
specs_argument = click.argument("specs", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="SPEC...")
out_option = click.option("-o", "--out", required=True, type=click.Path(path_type=Path), metavar="DIR", help="Where the files go: DIR/<name>/.")


def options(*found: Callable[[F], F]) -> Callable[[F], F]:
    """Several options as one decorator."""

    def decorate(function: F) -> F:
        for option in reversed(found):
            function = option(function)
        return function

    return decorate


def read_spec(path: Path, engine: str | None = None) -> DeploymentSpec:
    """One spec from a file, with `--engine` laid over its pins; raises `InputError` with every problem of it."""
    spec = spec_of(path)
    return replace(spec, pin={**spec.pin, "engine": engine}) if engine else spec


def read_specs(paths: Iterable[Path], engine: str | None = None) -> tuple[list[DeploymentSpec], list[InputError]]:
    """All specs that can be read, and the errors of the others. Two specs of one name are an error of its own."""
    specs: list[DeploymentSpec] = []
    errors: list[InputError] = []
    for path in paths:
        try:
            specs.append(read_spec(path, engine))
        except InputError as error:
            errors.append(error)
    named: dict[str, DeploymentSpec] = {}
    twice = []
    for spec in specs:
        if spec.name in named:
            other = named[spec.name].document.name
            twice.append(Problem("duplicate-name", f"{other} has the name {spec.name!r} too; names are folders", spec.document.place(("name",))))
        named.setdefault(spec.name, spec)
    if twice:
        raise InputError(twice)
    return specs, errors

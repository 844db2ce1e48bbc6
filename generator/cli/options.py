"""Options shared by several commands, and the corpus of specs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import click

from generator.cli.output import say, say_errors
from generator.errors import GenDeployError, InputError, Place, Problem, UsageError, did_you_mean
from generator.rulebook.book import RuleBook
from generator.spec import project
from generator.spec.deployment import DeploymentSpec
from generator.spec.deployment import read_spec as spec_of
from generator.spec.words import machine
from generator.spec.words import spec_of as spec_of_data

F = TypeVar("F", bound=Callable[..., object])


def _rules(ctx: click.Context, param: click.Parameter, value: str | None) -> str:
    return project.rule_set(value, Path())


def _tree_rules(ctx: click.Context, param: click.Parameter, value: str | None) -> str:
    return project.rule_set(value, Path(), tree=True)


rules_option = click.option("--rules", metavar="NAME-OR-DIR", callback=_rules, help="The rule set; default: the project file's, else `default`.")
tree_rules_option = click.option(
    "--rules", metavar="NAME-OR-DIR", callback=_tree_rules, help="The rule set; default: the project file's, else ./rules, else `default`."
)
engine_option = click.option("--engine", metavar="ENGINE", help="Pin the engine (the same as `pin: {engine: …}`).")
all_engines_option = click.option("--all-engines", is_flag=True, help="Write files for every engine that fits, not only for the best.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON to stdout.")
quiet_option = click.option("-q", "--quiet", is_flag=True, help="Errors only.")
verbose_option = click.option("-v", "--verbose", is_flag=True, help="Say more.")
specs_argument = click.argument("specs", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="SPEC...")
some_specs_argument = click.argument("specs", nargs=-1, type=click.Path(path_type=Path), metavar="[SPEC...]")
_model_option = click.option("-m", "--model", metavar="ID", help="A model of the catalogue or the lock, in place of a spec.")
gpu_option = click.option("-g", "--gpu", metavar="NAME", help='The GPU: a name such as RTX4090-24GB, or with a number "2x RTX 3090".')
gpus_option = click.option("--gpus", metavar="N|auto", help="How many GPUs of that name (default: 1).")
some_out_option = click.option(
    "-o", "--out", type=click.Path(path_type=Path), metavar="DIR", help="Output folder; files go to DIR/<name>/; default: the project file's `out`."
)
out_option = click.option("-o", "--out", required=True, type=click.Path(path_type=Path), metavar="DIR", help="Output folder; files go to DIR/<name>/.")


def options(*found: Callable[[F], F]) -> Callable[[F], F]:
    """Several options as one decorator."""

    def decorate(function: F) -> F:
        for option in reversed(found):
            function = option(function)
        return function

    return decorate


def words_options(function: F) -> F:
    """A model and cards in place of a spec."""
    return options(_model_option, gpu_option, gpus_option)(function)


def from_words(specs: tuple[Path, ...], model: str | None, gpu: str | None, gpus: str | None, engine: str | None) -> DeploymentSpec | None:
    """The spec that `--model` and `--gpu` stand for; None where spec files are named.

    Raises `UsageError` for neither, both, or half of it."""
    words = [word for word, said in (("--model", model), ("--gpu", gpu), ("--gpus", gpus)) if said is not None]
    if specs and words:
        raise UsageError(Problem("usage", f"a SPEC says its own model and hardware: leave {' and '.join(words)} out"))
    if specs:
        return None
    if model is None or gpu is None:
        missing = "a SPEC, or --model and --gpu in its place" if not words else "--gpu" if model else "--model"
        raise UsageError(Problem("usage", f"missing: {missing}"))
    return pinned_to(spec_of_data({"model": model, "hardware": machine(gpu, gpus)}), engine)


def standard_input(limit: int) -> str:
    """At most so many bytes of standard input, as text."""
    return sys.stdin.buffer.read(limit).decode("utf-8", "replace")


def corpus(specs: tuple[Path, ...], out: Path | None) -> tuple[tuple[Path, ...], Path, bool]:
    """The specs and the output folder of a command, by default from the project file; and whether these are all specs of the project.

    Raises `UsageError` if neither names them."""
    if specs and out is not None:
        return specs, out, False
    found = project.find(Path())
    if found is None:
        missing = "SPEC" if not specs else "--out DIR"
        raise UsageError(Problem("usage", f"{missing} is missing, and there is no project file {project.FILE}"))
    if specs:
        return specs, found.out_folder, False
    if out is None:
        return tuple(found.spec_files()), found.out_folder, True
    return tuple(found.spec_files()), out, out.resolve() == (found.folder / found.out).resolve()


def read_spec(path: Path, engine: str | None = None) -> DeploymentSpec:
    """A spec from a file, with `--engine` overriding its pins; raises `InputError` with all its problems."""
    if path.name == project.FILE:
        message = "this is a project file, not a spec; `gen-deploy` without arguments works on all its specs"
        raise InputError(Problem("project-file", message, Place(str(path))))
    return pinned_to(spec_of(path), engine)


def pinned_to(spec: DeploymentSpec, engine: str | None) -> DeploymentSpec:
    """The spec with `--engine` in its pins; a pinned version belongs to the pinned engine and goes with it."""
    if not engine or spec.pin.get("engine") == engine:
        return spec
    kept = {key: value for key, value in spec.pin.items() if key != "engine_version"}
    return replace(spec, pin={**kept, "engine": engine})


def check_engine(engine: str | None, book: RuleBook) -> None:
    """Raise `InputError` for an `--engine` unknown to the rule set."""
    known = book.section("engines")
    if engine is not None and engine not in known:
        raise InputError(Problem("unknown-engine", f"--engine: {engine!r} is not a known engine{did_you_mean(engine, known)} (one of {', '.join(known)})"))


def each_spec(paths: Iterable[Path], engine: str | None, book: RuleBook, work: Callable[[DeploymentSpec], int]) -> int:
    """Do the work of a command on every valid spec; returns the highest exit code. The problems of each are printed."""
    check_engine(engine, book)
    found, errors = read_specs(paths, engine)
    return max([say_errors(errors), *(attempt(work, spec) for spec in found)])


def attempt(work: Callable[[DeploymentSpec], int], spec: DeploymentSpec) -> int:
    """The exit code of the work on one spec, after printing its problems."""
    try:
        return work(spec)
    except GenDeployError as error:
        say(error.problems)
        return error.exit_code


def read_specs(paths: Iterable[Path], engine: str | None = None) -> tuple[list[DeploymentSpec], list[InputError]]:
    """All valid specs, and the errors of the others.

    Raises `InputError` with all these errors if two specs have the same name: then nothing may be written."""
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
            twice.append(Problem("duplicate-name", f"{other} has the name {spec.name!r} too; each name is an output folder", spec.document.place(("name",))))
        named.setdefault(spec.name, spec)
    if twice:
        raise InputError([*(problem for error in errors for problem in error.problems), *twice])
    return specs, errors

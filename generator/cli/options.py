"""Options shared by several commands, and the corpus of specs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import reduce, wraps
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import click

from generator.cli.output import progress, say_errors
from generator.errors import GenDeployError, InputError, Place, Problem, UsageError, did_you_mean
from generator.readers.document import MAX_SPEC_BYTES, decode, parse_yaml
from generator.rulebook.book import RuleBook, load
from generator.spec import project
from generator.spec.deployment import DeploymentSpec, schema
from generator.spec.deployment import read_spec as spec_of
from generator.spec.words import machine
from generator.spec.words import spec_of as spec_of_data

STDIN = Path("stdin")
"""Stands for the file of a spec that comes by standard input (`-`)."""
F = TypeVar("F", bound=Callable[..., object])


RULES = "generator.rules"
"""The name or folder of a command's rule set, in its context."""


def _rules_option(name: str, tree: bool = False) -> Callable[[F], F]:
    """`--rules`: the name of the set, or as `book` the set itself; with `tree` a `./rules` counts too."""

    def found(ctx: click.Context, param: click.Parameter, value: str | None) -> str | RuleBook:
        rules = ctx.meta[RULES] = project.rule_set(value, Path(), tree)
        return load(rules) if name == "book" else rules

    default = f"default: the project file's, {'else ./rules, ' if tree else ''}else `default`."
    return click.option("--rules", name, metavar="NAME-OR-DIR", callback=found, is_eager=True, help=f"The rule set; {default}")


def known_engine(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """The callback of `--engine`, which stands beside `book_option`; raises `InputError` for an engine that the rule set lacks."""
    known = ctx.params["book"].section("engines") if value is not None else {}
    if value is not None and value not in known:
        raise InputError(Problem("unknown-engine", f"--engine: {value!r} is not a known engine{did_you_mean(value, known)} (one of {', '.join(known)})"))
    return value


def known_targets(names: tuple[str, ...]) -> tuple[str, ...]:
    """The names of `--target`, once each; raises `InputError` for one that is none."""
    known = schema()["properties"]["deploy"]["properties"]["targets"]["items"]["enum"] if names else ()
    if wrong := [name for name in names if name not in known]:
        raise InputError(Problem("unknown-target", f"--target: {wrong[0]!r} is no target{did_you_mean(wrong[0], known)} (one of {', '.join(known)})"))
    return tuple(dict.fromkeys(names))


def aimed(specs: list[DeploymentSpec], targets: tuple[str, ...], book: RuleBook) -> list[DeploymentSpec]:
    """The specs with these targets in place of their own, where there are any; raises `InputError` where two collide on one machine."""
    found = [replace(spec, deploy={**spec.deploy, "targets": list(targets)}) for spec in specs] if targets else specs
    if sum(bool(spec.hardware.devices or spec.hardware.machine) for spec in found) > 1:
        from generator.cli.neighbours import apart  # imported lazily: few runs say which machine a spec is for

        apart(found, book)
    return found


rules_option, book_option, tree_rules_option = _rules_option("rules"), _rules_option("book"), _rules_option("rules", tree=True)
engine_option = click.option("--engine", metavar="ENGINE", callback=known_engine, help="Pin the engine (the same as `pin: {engine: …}`).")
all_engines_option = click.option("--all-engines", is_flag=True, help="Write files for every engine that fits, not only for the best.")
target_option = click.option(
    "--target", "targets", metavar="NAME", multiple=True, callback=lambda ctx, param, value: known_targets(value),
    help="Where the plan ends (repeatable): replaces `deploy.targets` (script, compose, docker, kubernetes, …).",
)  # fmt: skip
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
    return lambda function: reduce(lambda inner, option: option(inner), reversed(found), function)


class Words(NamedTuple):
    """What the command line says in place of a spec."""

    model: str | None = None
    gpu: str | None = None
    gpus: str | None = None

    def spec(self, engine: str | None) -> DeploymentSpec:
        """The spec that they stand for; raises `UsageError` where there are none, or half of them."""
        if self.model is None or self.gpu is None:
            missing = "--gpu" if self.model else "--model" if any(self) else "a SPEC, or --model and --gpu in its place"
            raise UsageError(Problem("usage", f"missing: {missing}"))
        return pinned_to(spec_of_data({"model": self.model, "hardware": machine(self.gpu, self.gpus)}), engine)


def words_options(function: Callable[..., int]) -> Callable[..., int]:
    """A model and cards in place of a spec: the command gets them as `words`."""

    @wraps(function)
    def command(*, model: str | None, gpu: str | None, gpus: str | None, **others: Any) -> int:
        return function(words=Words(model, gpu, gpus), **others)

    return options(_model_option, gpu_option, gpus_option)(command)


def standard_input(limit: int) -> str:
    """At most so many bytes of standard input, as text."""
    return sys.stdin.buffer.read(limit).decode("utf-8", "replace")


class Corpus(NamedTuple):
    """The valid specs of a command and its output folder, whether these are all specs of the project, and the exit code of the others."""

    specs: list[DeploymentSpec]
    out: Path
    whole: bool
    code: int


def corpus(paths: tuple[Path, ...], out: Path | None, engine: str | None = None) -> Corpus:
    """The specs and the output folder of a command, by default from the project file; the problems of specs are printed.

    Raises `UsageError` if neither names them."""
    whole = False
    if not paths or out is None:
        found = project.find(Path())
        if found is None:
            raise UsageError(Problem("usage", f"{'--out DIR' if paths else 'SPEC'} is missing, and there is no project file {project.FILE}"))
        out = found.out_folder if out is None else out
        whole = not paths and out.resolve() == (found.folder / found.out).resolve()
        paths = paths or tuple(found.spec_files())
    specs, errors = read_specs(paths, engine)
    return Corpus(specs, out, whole and not errors, say_errors(errors))


def read_spec(path: Path, engine: str | None = None) -> DeploymentSpec:
    """A spec from a file (`-`: standard input), with `--engine` overriding its pins; raises `InputError` with all its problems."""
    if path.name == project.FILE:
        message = "this is a project file, not a spec; `gen-deploy` without arguments works on all its specs"
        raise InputError(Problem("project-file", message, Place(str(path))))
    if str(path) != "-":
        return pinned_to(spec_of(path), engine)
    raw = sys.stdin.buffer.read(MAX_SPEC_BYTES + 1) if sys.stdin is not None else b""
    if len(raw) > MAX_SPEC_BYTES:
        raise InputError(Problem("too-large", f"more than {MAX_SPEC_BYTES} bytes are not read", Place(str(STDIN))))
    return pinned_to(spec_of(STDIN, parse_yaml(decode(raw, str(STDIN)), str(STDIN))), engine)


def pinned_to(spec: DeploymentSpec, engine: str | None) -> DeploymentSpec:
    """The spec with `--engine` in its pins; a pinned version belongs to the pinned engine and goes with it."""
    if not engine or spec.pin.get("engine") == engine:
        return spec
    kept = {key: value for key, value in spec.pin.items() if key != "engine_version"}
    return replace(spec, pin={**kept, "engine": engine})


def each_spec(paths: Sequence[Path], engine: str | None, work: Callable[[DeploymentSpec], int], words: Words | None = None) -> int:
    """Do the work of a command on every valid spec; returns the highest exit code. The problems of each are printed."""
    found, errors = read_specs(paths, engine, words)
    return max([say_errors(errors), *(attempt(work, spec) for spec in progress(found, "specs"))])


def attempt(work: Callable[[DeploymentSpec], int], spec: DeploymentSpec) -> int:
    """The exit code of the work on one spec, after printing its problems."""
    try:
        return work(spec)
    except GenDeployError as error:
        return say_errors([error])


def read_specs(paths: Sequence[Path], engine: str | None = None, words: Words | None = None) -> tuple[list[DeploymentSpec], list[InputError]]:
    """All valid specs, or the one that `words` stand for; and the errors of the others.

    Raises `InputError` with all these errors if two specs have the same name: then nothing may be written."""
    if words is not None and any(words) and paths:
        raise UsageError(Problem("usage", "a SPEC says its own model and hardware: leave --model, --gpu and --gpus out"))
    if words is not None and not paths:
        return [words.spec(engine)], []
    specs: list[DeploymentSpec] = []
    errors: list[InputError] = []
    for path in paths:
        try:
            specs.append(read_spec(path, engine))
        except InputError as error:
            errors.append(error)
    if same := twice(specs):
        raise InputError([*(problem for error in errors for problem in error.problems), *same])
    return specs, errors


def twice(specs: Iterable[DeploymentSpec]) -> list[Problem]:
    """A problem for each spec that has the name of one before it."""
    named: dict[str, DeploymentSpec] = {}
    same = [spec for spec in specs if named.setdefault(spec.name, spec) is not spec]
    message = "{} has the name {!r} too; each name is an output folder"
    return [spec.problem(("name",), "duplicate-name", message.format(named[spec.name].document.name, spec.name)) for spec in same]

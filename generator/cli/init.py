"""`gen-deploy init`: a commented starter spec, or the files for a repository of specs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import click
import yaml

from generator import __version__
from generator.cli import options
from generator.cli.detect import detected
from generator.cli.output import answer, say
from generator.compare.command import plan_of
from generator.compare.command import unlike as differences
from generator.errors import InputError, Place, Problem, UsageError, WriteError
from generator.readers.resources import folder as resources
from generator.readers.resources import shipped
from generator.render.words import comment
from generator.rulebook.book import RuleBook
from generator.spec.words import machine, spec_of
from generator.verify.files import MAX_BYTES, STDIN, Asked, check_file, check_text
from generator.verify.restated import restated

HARDWARE = re.compile(r"^hardware:\n(?:  .*\n)+", re.MULTILINE)
"""The section of the starter spec that `--detect` replaces."""


@click.command("init")
@click.argument("path", default="spec.yaml", type=click.Path(path_type=Path))
@click.option("--from", "source", type=click.Path(path_type=Path), metavar="FILE", help="A launch file (`-`: standard input) to say as a spec.")
@options.words_options
@click.option("--detect", is_flag=True, help="Ask this machine for its cards, by the tools of their makers.")
@click.option("--engine", metavar="ENGINE", callback=options.known_engine, help="The engine, if the launch file does not name it.")
@click.option("--engine-version", "version", metavar="VERSION", help="Its version, if the launch file does not pin it.")
@options.book_option
@click.option("--project", is_flag=True, help="Write gen-deploy.yaml, .pre-commit-config.yaml and a workflow instead; nothing is overwritten.")
@click.option("--force", is_flag=True, help="Overwrite PATH if it exists.")
@options.json_option
def command(
    path: Path, source: Path | None, words: options.Words, detect: bool, engine: str | None, version: str | None, book: RuleBook, project: bool,
    force: bool, as_json: bool,
) -> int:  # fmt: skip
    """Write a spec to PATH (default: spec.yaml): a commented one to start from, of a model on a GPU (-m, -g), or of a launch file (--from).

    With --detect, for the machine that this runs on."""
    if project:
        return _project(as_json)
    if detect and words.gpu:
        raise UsageError(Problem("usage", "--detect asks this machine for its GPUs: leave --gpu out"))
    hardware = detected(book) if detect else machine(words.gpu, words.gpus) if words.gpu else None
    if source is not None:
        text = spec_of_file(source, Asked(engine, version, None, words.model), hardware, book)
    elif any(words):
        if not detect:
            words.spec(engine)  # where a half is missing
        text = _yaml(spec_of({"model": words.model, "hardware": hardware, **({"pin": {"engine": engine}} if engine else {})}).document.data)
    else:
        text = (resources("templates") / "starter.yaml").read_text(encoding="utf-8")
        text = HARDWARE.sub(_yaml({"hardware": hardware}), text) if hardware else text
    if not _written(path, text, force):
        raise WriteError(Problem("exists", f"{path} already exists (--force overwrites it)"))
    return answer({"written": [str(path)]}, f"{path}: edit it, then `gen-deploy {path} -o out`", as_json)


def spec_of_file(source: Path, asked: Asked, hardware: Mapping[str, object] | None, book: RuleBook) -> str:
    """The spec of the server that a launch file starts; what it cannot say, and what its plan says otherwise, is told.

    Raises `InputError` for a file that starts no server or several, and for a model or machine that is not known."""
    stdin = str(source) == STDIN
    report = check_text(STDIN, options.standard_input(MAX_BYTES), book, asked) if stdin else check_file(source, book, asked)
    if len(report.servers) != 1:
        count = len(report.servers) or "no"
        raise InputError(Problem("nothing-to-check", f"a spec is one server, and this file starts {count} that is known", Place(str(source))))
    launch, known = report.servers[0]
    folder = Path() if stdin else source.parent
    if hardware is None:
        raise InputError(Problem("missing-key", "a launch file does not say its GPUs: name them with --gpu", Place(str(source))))
    known = replace(known, version=known.checked_as)
    said = restated(launch, known, hardware, asked.model, folder, book)
    try:
        plan = plan_of(said, launch, known, folder, book)
    except InputError:
        if not any(finding.code == "unknown-model" for finding in said.unsaid):
            raise
        plan = None  # of a model that the lock looks up
    say(said.unsaid)
    if plan is not None and plan.choice is None:
        say([Problem("nothing-fits", "the command does not fit this machine: `gen-deploy verify --gpu` says why", Place(str(source)), "warning")])
    left = {finding.message.split()[0] for finding in said.unsaid}
    for one in differences(launch, known, plan, book) if plan is not None and plan.choice else ():
        if one.name not in left:
            say([Problem("unlike", str(one), Place(str(source)), "warning")])
    return f"# What {comment(source.name)} says, by `gen-deploy init --from`: pins hold each of its settings.\n{_yaml(said.data)}"


def _yaml(data: Mapping[str, object]) -> str:
    order = ("model", "hardware", "workload", "serve", "pin", "deploy")
    return "".join(yaml.safe_dump({key: data[key]}, sort_keys=False, width=140, allow_unicode=True) for key in order if data.get(key))


def _project(as_json: bool) -> int:
    written, lines = [], []
    for name, file in shipped("cli.json")["project"].items():
        text = (resources("templates") / "project" / file["template"]).read_text(encoding="utf-8").replace("{version}", __version__)
        written += [name] if _written(Path(name), text, force=False) else []
        lines.append(f"{name}: {file['is'] if name in written else 'already exists; not changed'}")
    return answer({"written": written}, "\n".join(lines), as_json)


def _written(path: Path, text: str, force: bool) -> bool:
    """Write a file; False if it exists already."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("w" if force else "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        return False
    return True

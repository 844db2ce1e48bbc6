"""`gen-deploy verify PATH…`: check launch files against the options of their engine version."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import click

from generator.cli import options
from generator.cli.output import say, show, show_json, tell
from generator.errors import BAD_INPUT, DONE, InputError, Place, Problem, capped
from generator.readers.document import read_json
from generator.rulebook.book import RuleBook
from generator.spec.words import machine
from generator.verify.around import faults as around
from generator.verify.files import MAX_BYTES, SCRIPTS, STDIN, Asked, Report, check_file, check_text


@click.command("verify")
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="PATH...")
@click.option("--engine", metavar="ENGINE", callback=options.known_engine, help="The engine, if the files do not name it.")
@click.option("--engine-version", "version", metavar="VERSION", help="The version to check against; default: the version that the files pin.")
@options.gpu_option
@click.option("--model", metavar="ID", help="The catalogue's name of the model, if the command hides it.")
@click.option("--strict", is_flag=True, help="Exit 1 on warnings as well.")
@options.options(options.book_option, options.json_option, options.quiet_option)
def command(
    paths: tuple[Path, ...], engine: str | None, version: str | None, gpu: str | None, model: str | None, strict: bool, book: RuleBook, as_json: bool,
    quiet: bool,
) -> int:  # fmt: skip
    """Check every flag, choice, type and key of launch files (`-`: of a command on standard input), and with --gpu whether they start there.

    Files: scripts, Compose, Kubernetes, Slurm, systemd, Quadlet, an engine's YAML, Modelfiles."""
    asked = Asked(engine, version, machine(gpu) if gpu else None, model)
    report, files, problems = check_paths(paths, book, asked, options.standard_input(MAX_BYTES) if Path(STDIN) in paths else "")
    bad = [f for f in report.findings if f.severity == "error" or (strict and f.severity == "warning")]
    found = capped(report.findings)
    checked = sorted(set(report.checked))
    if as_json:
        verdicts = [verdict.as_json() for verdict in report.verdicts]
        show_json({"findings": [f.as_json() for f in found], "files": files, "checked": checked, "verdicts": verdicts})
    else:
        for finding in found:
            show(str(finding))
        for verdict in report.verdicts:
            if verdict.command:
                show(f"as it should be:\n  {verdict.command}")
    say(problems)
    if not quiet and not as_json and report.checked:
        count = f"{len(report.findings)} finding{'s' if len(report.findings) != 1 else ''}" if report.findings else "clean"
        tell(f"{files} file{'s' if files != 1 else ''} checked as {', '.join(checked)}: {count}")
    return BAD_INPUT if bad or problems else DONE


SUFFIXES = (*SCRIPTS, ".yaml", ".yml")
SKIPPED = ("PLAN.md", "manifest.json", "plan.json", "README.md")
_MAX_FILES = 10_000


def check_paths(paths: Sequence[Path], book: RuleBook, asked: Asked, stdin: str = "") -> tuple[Report, int, list[Problem]]:
    """The findings under some paths (`-`: in the text of `stdin`), the number of files checked, and the problems of unreadable files."""
    whole, files = Report(), 0
    hint = "" if asked.engine else "; if the file does not name its engine, use --engine"
    nothing = f"this file does not start a server of a known engine{hint}"
    problems: list[Problem] = []
    for path, inside in _files(paths):
        try:
            report = check_text(STDIN, stdin, book, asked) if str(path) == STDIN else check_file(path, book, asked, told_by_folder(path))
        except InputError as error:
            if not inside or path.suffix in (".yaml", ".yml"):
                problems += error.problems
            continue
        if not report.checked and not inside:
            problems.append(Problem("nothing-to-check", nothing, Place(str(path))))
        files += bool(report.checked)
        whole.checked += report.checked
        whole.findings += report.findings
        whole.verdicts += report.verdicts
        whole.servers += report.servers
        whole.documents += report.documents
    whole.findings += around(whole.documents, whole.servers, book, asked.hardware, asked.model)
    if not files and not problems:
        problems.append(Problem("nothing-to-check", nothing, Place(str(paths[0]))))
    whole.findings.sort(key=lambda finding: (finding.place or Place(""), finding.code))
    return whole, files, problems


def _files(paths: Sequence[Path]) -> Iterator[tuple[Path, bool]]:
    """The files to read, and whether each was found in a folder (then it may be another kind of file)."""
    for path in paths:
        if not path.is_dir():
            yield path, False
            continue
        count = 0
        for folder, folders, names in os.walk(path):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in sorted(names):
                if Path(name).suffix in SUFFIXES and name not in SKIPPED and not name.startswith("."):
                    count += 1
                    if count <= _MAX_FILES:
                        yield Path(folder) / name, True


def told_by_folder(path: Path) -> Asked:
    """Engine and version of a file in a generated folder: the folder has the engine's name, `plan.json` the version."""
    for folder in (path.parent, path.parent.parent):
        with suppress(InputError):
            choice = read_json(folder / "plan.json").get("choice")
            if isinstance(choice, dict) and choice.get("engine") == path.parent.name:
                return Asked(str(choice["engine"]), str(choice.get("engine_version")))
    return Asked()

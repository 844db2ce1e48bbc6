"""`gen-deploy verify PATH…`: check launch files against the options of their engine version."""

from __future__ import annotations

from pathlib import Path

import click

from generator.cli import options
from generator.cli.output import say, show, show_json, tell
from generator.errors import BAD_INPUT, DONE, capped
from generator.rulebook.book import RuleBook
from generator.spec.words import machine
from generator.verify.files import MAX_BYTES, STDIN, Asked
from generator.verify.folder import check_paths


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

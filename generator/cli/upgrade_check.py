"""`gen-deploy upgrade-check SPEC… --engine-version NEW`: the changes and broken options of a version bump."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import click

from generator.cli import options
from generator.cli.files import check_versions
from generator.cli.output import chosen, show, show_all_json
from generator.decide.decision import decide
from generator.errors import DIFFERENCES, DONE, Problem
from generator.quantity import grouped
from generator.render.artifact import Artifact
from generator.render.files import artifacts
from generator.render.launch import Launch, launch_of
from generator.render.templates import render
from generator.render.words import expected
from generator.rulebook.book import RuleBook
from generator.spec.deployment import DeploymentSpec
from generator.verify.files import Asked, check_text

BACK = "../../.."


@click.command("upgrade-check")
@options.specs_argument
@click.option("--engine-version", "version", required=True, metavar="VERSION", help="The target version.")
@options.options(options.book_option, options.engine_option, options.json_option, options.quiet_option)
def command(specs: tuple[Path, ...], version: str, book: RuleBook, engine: str | None, as_json: bool, quiet: bool) -> int:
    """Plan each SPEC with its current version and with VERSION, and compare the command lines; exit 3 if anything differs or breaks."""
    results: list[dict[str, Any]] = []

    def one(spec: DeploymentSpec) -> int:
        result, code = _one(spec, version, book)
        results.append(result)
        if not as_json and (code != DONE or not quiet):
            show(render("upgrade.j2", **result).rstrip("\n"))
        return code

    code = options.each_spec(specs, engine, one)
    if as_json:
        show_all_json(results, several=len(specs) > 1 or not results)
    return code


def _one(spec: DeploymentSpec, version: str, book: RuleBook) -> tuple[dict[str, Any], int]:
    """The effect on one spec as plain data, and the exit code."""
    now = decide(spec, book)
    choice = chosen(now)
    check_versions(spec, [choice], book)
    check_versions(spec, [replace(choice, engine_version=version)], book)
    then = decide(replace(spec, pin={**spec.pin, "engine": choice.engine, "engine_version": version}), book)
    files = artifacts(now.plan, [choice], book, spec_file=spec.document.name, back=BACK)
    breaks = broken(files, choice.engine, version, book)
    result: dict[str, Any] = {
        "name": spec.name, "spec": spec.document.name, "engine": choice.engine, "from": choice.engine_version, "to": version,
        "breaks": [finding.as_json() for finding in breaks],
        "decision": None, "changes": [], "rejected": [],
    }  # fmt: skip
    if then.plan.choice is None:
        result["rejected"] = [{"id": one.row, "because": one.because} for first in then.plan.rejected[:1] for one in first.reasons]
        return result, DIFFERENCES
    new = then.plan.choice
    if new.id != choice.id:
        result["decision"] = {"old": choice.id, "new": new.id}
    result["changes"] = [change._asdict() for change in changes(launch_of(now.plan, choice, book, BACK), launch_of(then.plan, new, book, BACK))]
    return result, DIFFERENCES if breaks or result["changes"] or result["decision"] else DONE


class Change(NamedTuple):
    """One changed option: old and new value, None if absent; `--flag: ` is a switch."""

    word: str
    old: str | None
    new: str | None


def changes(old: Launch, new: Launch) -> list[Change]:
    """The options of a deployment that differ between two versions: command line, file, environment, Modelfile."""
    before, after = _words(old), _words(new)
    both = [Change(word, before.get(word), after.get(word)) for word in dict.fromkeys([*before, *after])]
    return [change for change in both if change.old != change.new]


def broken(files: Sequence[Artifact], engine: str, version: str, book: RuleBook) -> list[Problem]:
    """The findings of the new version in the files of the old one."""
    ours, asked = [file for file in files if file.path.startswith(f"{engine}/")], Asked(engine, version)
    found = [finding for file in ours for finding in check_text(file.path, file.text, book, asked).findings]
    return [same[0] for same in grouped(found, lambda one: (one.code, one.message))]


def _words(launch: Launch) -> dict[str, str]:
    positional, flags = launch.options()
    found = {flag: " ".join(map(expected, values or ())) for flag, values in {**({"model": positional} if positional else {}), **flags}.items()}
    found |= {f"{key}:": value for key, value in _flat(launch.spelled.config).items()}
    found |= {f"{name}=": expected(value) for name, value in launch.env().items()}
    found |= {f"PARAMETER {name}": " ".join(values) for name, values in launch.spelled.parameters.items()}
    return found


def _flat(data: Mapping[str, object], prefix: str = "") -> dict[str, str]:
    found: dict[str, str] = {}
    for key, value in data.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = str(value).lower() if isinstance(value, bool) else str(value)
    return found

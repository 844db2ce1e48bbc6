"""`gen-deploy upgrade-check SPEC… --engine-version NEW`: the changes and broken options of a version bump."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from generator.cli import options
from generator.cli.files import check_versions
from generator.cli.output import chosen, show, show_all_json
from generator.compare.upgrade import broken, changes
from generator.decide.decision import decide
from generator.errors import DIFFERENCES, DONE
from generator.render.files import artifacts
from generator.render.launch import launch_of
from generator.render.templates import render
from generator.rulebook.book import RuleBook
from generator.spec.deployment import DeploymentSpec

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

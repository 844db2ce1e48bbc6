"""`gen-deploy check`: compare the files on disk with newly generated ones."""

from __future__ import annotations

from pathlib import Path

import click

from generator.cli import options
from generator.cli.files import decided, rendered
from generator.cli.output import refused, say_errors, show, tell
from generator.disk.written import Finding, compare, orphans
from generator.errors import DIFFERENCES, DONE, NOTHING_FITS
from generator.report.edits import WAYS_OUT, drift, edit
from generator.rulebook.book import RuleBook, load
from generator.spec.deployment import DeploymentSpec

MEANING = {
    "missing": "missing",
    "differs": "out of date",
    "edited": "edited by hand",
    "stale": "no longer generated (--prune on the main job removes it)",
    "stale-edited": "no longer generated, and edited by hand (--force --prune on the main job removes it)",
    "unfinished": "an interrupted run left this folder incomplete",
}


@click.command("check")
@options.some_specs_argument
@options.options(options.some_out_option, options.rules_option, options.engine_option, options.all_engines_option)
@options.options(options.quiet_option, options.verbose_option)
def command(specs: tuple[Path, ...], out: Path | None, rules: str, engine: str | None, all_engines: bool, quiet: bool, verbose: bool) -> int:
    """Report generated files that differ, are missing, or were edited by hand (-v: full diffs); write nothing.

    Without SPEC, every spec of the project file gen-deploy.yaml."""
    specs, out, whole = options.corpus(specs, out)
    book = load(rules)
    options.check_engine(engine, book)
    found, errors = options.read_specs(specs, engine)
    kinds: set[str] = set()

    def one(spec: DeploymentSpec) -> int:
        code, findings = _one(spec, book, out, all_engines)
        kinds.update(finding.kind for finding in findings)
        for finding in findings:
            _show(out / spec.name, finding, quiet, verbose)
        if not findings and code == DONE and not quiet:
            show(f"{out / spec.name}: as generated")
        return code

    code = max([say_errors(errors), *(options.attempt(one, spec) for spec in found)])
    if whole and not errors:
        for name in orphans(out, [spec.name for spec in found]):
            show(f"{out / name}: stale; no spec has this name (--prune on the main job removes it)")
            kinds.add("stale")
    if "edited" in kinds and not quiet:
        tell(WAYS_OUT)
    if kinds - {"edited"} and not quiet:
        tell("To bring the files up to date, run the main job again.")
    return max(code, DIFFERENCES) if kinds else code


def _one(spec: DeploymentSpec, book: RuleBook, out: Path, all_engines: bool) -> tuple[int, list[Finding]]:
    outcome, code = decided(spec, book)
    if outcome is None:
        return code, []
    if outcome.plan.choice is None:
        tell(refused(outcome))
        return NOTHING_FITS, []
    return code, compare(out, spec.name, rendered(outcome, book, out, all_engines))


def _show(folder: Path, finding: Finding, quiet: bool, verbose: bool) -> None:
    """One finding; manual edits are always shown, changes from regeneration only with -v."""
    name = f"{folder / finding.path}"
    show(f"{name}: {MEANING[finding.kind]}")
    lines: list[str] = []
    if finding.kind == "edited" and not quiet:
        lines = edit(name, finding.now, finding.found, verbose)
    elif finding.kind == "differs" and verbose:
        lines = drift(name, finding.now, finding.found)
    if lines:
        show("\n".join(lines))

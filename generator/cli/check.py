"""`gen-deploy check`: whether the generated files are what would be generated now."""

from __future__ import annotations

from pathlib import Path

import click

from generator.cli import options
from generator.cli.files import decided, rendered
from generator.cli.output import refused, say, say_errors, show, tell
from generator.disk.written import Finding, compare, orphans
from generator.errors import DIFFERENCES, DONE, NOTHING_FITS, GenDeployError
from generator.report.edits import WAYS_OUT, drift, edit
from generator.rulebook.book import RuleBook, load
from generator.spec.deployment import DeploymentSpec

MEANING = {
    "missing": "missing",
    "differs": "not what would be generated now",
    "edited": "edited by hand",
    "stale": "no longer generated (--prune on the main job removes it)",
    "stale-edited": "no longer generated, and edited by hand (--force --prune on the main job removes it)",
    "unfinished": "a run was interrupted while it wrote here",
}


@click.command("check")
@options.some_specs_argument
@options.options(options.some_out_option, options.rules_option, options.engine_option, options.all_engines_option)
@options.options(options.quiet_option, options.verbose_option)
def command(
    specs: tuple[Path, ...], out: Path | None, rules: str, engine: str | None, all_engines: bool, quiet: bool, verbose: bool
) -> int:
    """Write nothing; say which generated files differ, are missing, or were edited by hand, and how (-v: all of it).

    Without SPEC, every spec of the project file gen-deploy.yaml.
    """
    specs, out, whole = options.corpus(specs, out)
    book = load(rules)
    options.check_engine(engine, book)
    found, errors = options.read_specs(specs, engine)
    code = say_errors(errors)
    kinds: set[str] = set()
    for spec in found:
        try:
            one, findings = _one(spec, book, out, all_engines)
        except GenDeployError as error:
            say(error.problems)
            code = max(code, error.exit_code)
            continue
        code = max(code, one)
        kinds |= {finding.kind for finding in findings}
        for finding in findings:
            _show(out / spec.name, finding, quiet, verbose)
        if not findings and one == DONE and not quiet:
            show(f"{out / spec.name}: as generated")
    if whole and not errors:
        for name in orphans(out, [spec.name for spec in found]):
            show(f"{out / name}: stale, no spec has this name (--prune on the main job removes it)")
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
    """One finding; what a person edited is always shown, what generating again would change only with -v."""
    name = f"{folder / finding.path}"
    show(f"{name}: {MEANING[finding.kind]}")
    if finding.kind == "edited" and not quiet:
        lines = list(edit(name, finding.now, finding.found, verbose))
    elif finding.kind == "differs" and verbose:
        lines = list(drift(name, finding.now, finding.found, whole=True))
    else:
        return
    if lines:
        show("\n".join(lines))

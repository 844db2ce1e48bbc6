"""`gen-deploy check`: compare the files on disk with newly generated ones."""

from __future__ import annotations

from pathlib import Path

import click

from generator.cli import options
from generator.cli.files import decided, rendered
from generator.cli.output import chosen, progress, show, show_json, tell
from generator.disk.written import Finding, compare, orphans
from generator.errors import DIFFERENCES, DONE
from generator.readers.resources import shipped
from generator.report.summary import WAYS_OUT, drift, edit
from generator.rulebook.book import RuleBook
from generator.spec.deployment import DeploymentSpec


@click.command("check")
@options.some_specs_argument
@options.options(options.some_out_option, options.book_option, options.engine_option, options.all_engines_option, options.target_option)
@options.options(options.json_option, options.quiet_option, options.verbose_option)
def command(
    specs: tuple[Path, ...], out: Path | None, book: RuleBook, engine: str | None, all_engines: bool, targets: tuple[str, ...],
    as_json: bool, quiet: bool, verbose: bool,
) -> int:  # fmt: skip
    """Report generated files that differ, are missing, or were edited by hand (-v: full diffs); write nothing.

    Without SPEC, every spec of the project file gen-deploy.yaml."""
    found, folder, whole, code = options.corpus(specs, out, engine)
    rows: list[dict[str, str]] = []

    def one(spec: DeploymentSpec) -> int:
        outcome = decided(spec, book)
        chosen(outcome)
        findings = compare(folder, spec.name, rendered(outcome, book, folder, all_engines))
        rows.extend({"spec": spec.name, "path": str(folder / spec.name / finding.path), "kind": finding.kind} for finding in findings)
        for finding in findings if not as_json else ():
            _show(folder / spec.name, finding, quiet, verbose)
        if not (findings or quiet or as_json):
            show(f"{folder / spec.name}: as generated")
        return DONE

    code = max([code, *(options.attempt(one, spec) for spec in progress(options.aimed(found, targets, book), "specs"))])
    for name in orphans(folder, [spec.name for spec in found]) if whole else ():
        rows.append({"spec": name, "path": str(folder / name), "kind": "stale"})
        if not as_json:
            show(f"{folder / name}: stale; no spec has this name (--prune on the main job removes it)")
    kinds = {row["kind"] for row in rows}
    if as_json:
        show_json({"specs": [spec.name for spec in found], "findings": rows})
    if "edited" in kinds and not quiet:
        tell(WAYS_OUT)
    if kinds - {"edited"} and not quiet:
        tell("To bring the files up to date, run the main job again.")
    return max(code, DIFFERENCES) if kinds else code


def _show(folder: Path, finding: Finding, quiet: bool, verbose: bool) -> None:
    """One finding; manual edits are always shown, changes from regeneration only with -v."""
    name = f"{folder / finding.path}"
    show(f"{name}: {shipped('cli.json')['findings'][finding.kind]}")
    lines = edit(name, finding.now, finding.found, verbose) if finding.kind == "edited" and not quiet else []
    if finding.kind == "differs" and verbose:
        lines = drift(name, finding.now, finding.found)
    if lines:
        show("\n".join(lines))

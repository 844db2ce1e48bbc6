"""The main job: `gen-deploy SPEC… -o DIR`."""

from __future__ import annotations

from pathlib import Path

import click

from generator import __version__
from generator.cli import options
from generator.cli.files import candidates, decided, rendered
from generator.cli.output import chosen, progress, report, say_errors, show_json, tell
from generator.disk.write import EditedError, WriteResult, remove_spec, write_run, write_spec
from generator.disk.written import orphans
from generator.errors import DIFFERENCES, DONE, GenDeployError, InputError
from generator.facts.locked import unknown
from generator.report.summary import WAYS_OUT, Warnings, because_of, edit, headline
from generator.rulebook.book import RuleBook
from generator.rulebook.rulesets import SHIPPED
from generator.spec.deployment import DeploymentSpec

SHOWN = 5
"""Paths listed in a message."""


@click.command("generate")
@options.some_specs_argument
@options.options(options.some_out_option, options.book_option, options.engine_option, options.all_engines_option, options.target_option)
@click.option("--locked", is_flag=True, help="Never ask the model hub: what catalogue and lock lack is an error.")
@click.option("--force", is_flag=True, help="Overwrite generated files that were edited by hand.")
@click.option("--prune", is_flag=True, help="Remove generated files that are no longer needed.")
@click.option("--exit-code", is_flag=True, help="Exit 3 if files were written or removed, are stale, or are not yet in git (for hooks).")
@click.option("--lint", "linted", is_flag=True, help="Lint the rules too, if they are not the shipped ones (for hooks).")
@options.options(options.json_option, options.quiet_option, options.verbose_option)
def command(
    specs: tuple[Path, ...], out: Path | None, book: RuleBook, engine: str | None, all_engines: bool, targets: tuple[str, ...],
    locked: bool, force: bool, prune: bool, exit_code: bool, linted: bool, as_json: bool, quiet: bool, verbose: bool,
) -> int:  # fmt: skip
    """Plan each SPEC and write its files into DIR/<name>/, all of them or none.

    Without SPEC, every spec of the project file gen-deploy.yaml."""
    found, folder, whole, code = options.corpus(specs, out, engine)
    found = options.aimed(found, targets, book)
    quiet, warned, results, done = quiet or as_json, Warnings(verbose), list[WriteResult](), list[dict[str, object]]()
    missing = [] if locked else [spec for spec in found if "/" in spec.model.id and unknown(spec, book)]
    if missing:
        from generator.cli.lock import looked_up  # imported lazily: most models are known

        found, code = looked_up(found, missing, book, code)
    for spec in progress(found, "specs"):
        try:
            result, data = _one(spec, book, folder, all_engines, force, prune, None if quiet else warned)
            results.append(result)
            done.append(data)
        except GenDeployError as error:
            code = max(code, say_errors([error]))
            for finding in error.edits if isinstance(error, EditedError) else ():
                tell("\n".join(edit(str(folder / spec.name / finding.path), finding.now, finding.found, verbose)))
            if isinstance(error, EditedError) and error.edits:
                tell(WAYS_OUT)
    for line in warned.lines():
        tell(line)
    if results:
        write_run(folder, {"generator": f"gen-deploy {__version__}", "rules": {"name": book.name, "digest": book.digest}})
    if whole:
        results += _orphaned(folder, [spec.name for spec in found], force, prune)
    if as_json:
        show_json({"specs": done})
    rules = click.get_current_context().meta[options.RULES]
    if linted and rules not in SHIPPED:
        from generator.cli.lint import report_on

        code = max(code, report_on(rules))
    if exit_code and code == DONE:
        return _changed(results, folder)
    return code


def _one(
    spec: DeploymentSpec, book: RuleBook, out: Path, all_engines: bool, force: bool, prune: bool, warned: Warnings | None
) -> tuple[WriteResult, dict[str, object]]:
    """What was written for a spec, and that as data; it is told unless there is nothing to collect warnings."""
    outcome = decided(spec, book)
    choice = chosen(outcome)
    files = rendered(outcome, book, out, all_engines)
    result = write_spec(out, spec.name, files, spec=spec.file, force=force, prune=prune)
    for path in result.edited:
        tell(f"warning[stale-edited]: {result.folder / path} is no longer generated but was edited by hand: kept (--force --prune removes it)")
    paths = {state: list(getattr(result, state)) for state in ("written", "unchanged", "removed", "kept", "edited")}
    warnings = [{"id": warning.row, "because": because_of(warning, choice)} for warning in outcome.plan.warnings]
    data: dict[str, object] = {"name": spec.name, "folder": str(result.folder), "choice": choice.id, **paths, "warnings": warnings}
    if warned is None:
        return result, data
    for candidate in candidates(outcome, all_engines):
        report(f"{result.folder}/{candidate.engine}: {headline(outcome.plan, candidate)}")
    state = f"{len(result.written)} written, {len(result.unchanged)} unchanged"
    state += f", {len(result.removed)} removed" if result.removed else ""
    state += f", {len(result.kept)} stale (--prune removes them)" if result.kept else ""
    report(f"{result.folder}: {state}")
    warned.add(outcome.plan)
    return result, data


def _orphaned(out: Path, names: list[str], force: bool, prune: bool) -> list[WriteResult]:
    """The folders of specs that left the project: removed with `--prune`, else reported."""
    results = []
    for name in orphans(out, names):
        folder = out / name
        if not prune:
            tell(f"{folder}: stale; no spec has this name (--prune removes it)")
            results.append(WriteResult(folder, kept=("",)))
            continue
        results.append(remove_spec(out, name, force=force))
        kept = f", {len(results[-1].kept)} edited by hand and kept (--force removes them)" if results[-1].kept else ""
        tell(f"{folder}: no spec has this name; {len(results[-1].removed)} removed{kept}")
    return results


def _changed(results: list[WriteResult], out: Path) -> int:
    """3 if files were written or removed, stale ones are left, or a generated file is not in git yet."""
    from generator.disk import git  # imported lazily: only hooks need it

    changed = [str(r.folder / path) for r in results for path in (*r.written, *r.removed)]
    stale = [str(r.folder / path) for r in results for path in r.kept]
    if changed:
        tell(f"{len(changed)} files changed; add them to the commit: {_some(changed)}")
    if stale:
        tell(f"{len(stale)} stale (--prune removes them): {_some(stale)}")
    if changed or stale:
        return DIFFERENCES
    try:
        repo = git.repository(Path())
        generated = {str((r.folder / path).resolve()) for r in results for path in r.unchanged}
        new = [path for path in repo.untracked(out) if str(repo.root / path) in generated]
    except InputError:
        return DONE  # no repository: nothing to add the files to
    if new:
        tell(f"generated, but not in git yet; add to the commit: {_some(new)}")
    return DIFFERENCES if new else DONE


def _some(paths: list[str]) -> str:
    return ", ".join(paths[:SHOWN]) + (f" and {len(paths) - SHOWN} more" if len(paths) > SHOWN else "")

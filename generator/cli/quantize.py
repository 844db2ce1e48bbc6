"""`gen-deploy quantize`: write only the job that produces the weights."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import click

from generator.cli import options
from generator.cli.files import back_to, rendered_jobs
from generator.cli.output import refused, say, show, show_json, tell
from generator.decide.context import resolve
from generator.decide.decision import Outcome, decide
from generator.decide.training import training_job
from generator.disk.write import write_spec
from generator.errors import DONE, NOTHING_FITS, Problem, UsageError
from generator.facts.job import job_json, needs_json
from generator.plan import Candidate
from generator.render.artifact import Artifact
from generator.render.files import header_of
from generator.render.training import training_files
from generator.report.job import job_lines, needs_lines
from generator.report.summary import chosen_line
from generator.rulebook.book import RuleBook, load
from generator.spec.deployment import DeploymentSpec


@click.command("quantize")
@options.specs_argument
@options.options(options.out_option, options.rules_option, options.engine_option)
@click.option("--job", metavar="JOB", help="Another compression job: qat, distillation, pruning or sparsity, written to DIR/<name>/JOB/.")
@click.option("--method", metavar="METHOD", help="With --job: the method, if the job has several.")
@click.option("--force", is_flag=True, help="Overwrite generated files that were edited by hand.")
@options.options(options.json_option, options.quiet_option)
def command(
    specs: tuple[Path, ...], out: Path, rules: str, engine: str | None, job: str | None, method: str | None, force: bool, as_json: bool, quiet: bool
) -> int:
    """Write only the job that produces the weights of each SPEC, into DIR/<name>/quantize/.

    The spec pins the method, or the rules choose it. The job is written even if a published checkpoint exists."""
    if method is not None and job is None:
        raise UsageError(Problem("usage", "--method needs --job; for a quantization method use `pin: {quantization: …}` in the spec"))
    book = load(rules)
    objects: list[dict[str, object] | None] = []

    def one(spec: DeploymentSpec) -> int:
        if job is not None:
            objects.append(_trained(spec, job, method, book, out, force, quiet or as_json))
            return DONE
        outcome = decide(spec, book, making=True)
        code = _one(spec, outcome, book, out, force, quiet or as_json)
        if outcome.plan.choice is not None and outcome.plan.choice.job is not None:
            objects.append(job_json(outcome.plan.choice.job))
        return code

    code = options.each_spec(specs, engine, book, one)
    if as_json and (objects or len(specs) > 1):
        show_json(objects if len(specs) > 1 else objects[0])
    return code


def _one(spec: DeploymentSpec, outcome: Outcome, book: RuleBook, out: Path, force: bool, quiet: bool) -> int:
    choice = outcome.plan.choice
    if choice is None:
        tell(refused(outcome))
        return NOTHING_FITS
    if choice.job is None:
        say([Problem("nothing-to-make", _nothing_to_make(choice), spec.document.place(("pin",)))])
        return NOTHING_FITS
    what = f"for {chosen_line(choice)}"
    _write(spec, out, rendered_jobs(outcome, book, out), (choice.job.folder, what, job_lines(choice.job)), force, quiet)
    published = outcome.context.model.checkpoints.get(choice.method)
    if published is not None and not quiet:
        tell(f"note: {published.id} already holds {choice.method} weights; the main job would load them")
    return DONE


def _write(spec: DeploymentSpec, out: Path, files: Sequence[Artifact], told: tuple[str, str, Iterable[str]], force: bool, quiet: bool) -> None:
    """Write the files of a job; `told` are its folder, what it is, and what it needs in lines."""
    result = write_spec(out, spec.name, files, spec=spec.file, force=force, partial=True)
    if not quiet:
        folder, what, lines = told
        counts = f"{result.folder}: {len(result.written)} written, {len(result.unchanged)} unchanged"
        show("\n".join([f"{result.folder / folder}: {what}", *(f"  {line}" for line in lines), counts]))


def _trained(spec: DeploymentSpec, job: str, method: str | None, book: RuleBook, out: Path, force: bool, quiet: bool) -> dict[str, object]:
    """Write a training or pruning job; returns its data for `--json`."""
    found = training_job(resolve(spec, book), job, method)
    files = training_files(found, header_of(Path(spec.document.name).name), back_to(spec, out), spec.deploy.get("env"))
    what = f"{found.entry['title']}, {found.method}, with {found.facts['library']} {found.facts['version']}"
    _write(spec, out, files, (found.name, what, needs_lines(found.needs, found.gpus)), force, quiet)
    for note in found.notes:
        tell(f"note: {note}")
    return {"job": found.name, "method": found.method, "library": found.facts["library"], "version": found.facts["version"],
        "gpus": found.gpus, "needs": needs_json(found.needs), "notes": list(found.notes)}  # fmt: skip


def _nothing_to_make(choice: Candidate) -> str:
    how = {"native": "the published weights", "given": "the model's own weights", "named": "the checkpoint that the spec names"}
    return (
        f"the plan is {choice.engine} with {choice.method}, which loads {how.get(choice.origin, choice.origin + ' weights')}; "
        "`pin: {quantization: …}` selects the weights to produce"
    )

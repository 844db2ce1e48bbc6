"""`gen-deploy quantize`: write only the job that produces the weights."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import click

from generator.cli import options
from generator.cli.files import back_to, candidates
from generator.cli.output import chosen, show, show_all_json, tell
from generator.decide.context import resolve
from generator.decide.decision import decide
from generator.decide.training import training_job
from generator.disk.write import write_spec
from generator.errors import DONE, NothingFits, Problem, UsageError
from generator.facts.job import job_json, needs_json
from generator.readers.resources import shipped
from generator.render.artifact import Artifact
from generator.render.files import header_of, job_files
from generator.render.training import training_files
from generator.report.summary import chosen_line, job_lines, needs_lines
from generator.rulebook.book import RuleBook
from generator.spec.deployment import DeploymentSpec


@click.command("quantize")
@options.specs_argument
@options.options(options.out_option, options.book_option, options.engine_option)
@click.option("--job", metavar="JOB", help="Another compression job: qat, distillation, pruning or sparsity, written to DIR/<name>/JOB/.")
@click.option("--method", metavar="METHOD", help="With --job: the method, if the job has several.")
@click.option("--force", is_flag=True, help="Overwrite generated files that were edited by hand.")
@options.options(options.json_option, options.quiet_option)
def command(
    specs: tuple[Path, ...], out: Path, book: RuleBook, engine: str | None, job: str | None, method: str | None, force: bool, as_json: bool, quiet: bool
) -> int:
    """Write only the job that produces the weights of each SPEC, into DIR/<name>/quantize/.

    The spec pins the method, or the rules choose it. The job is written even if a published checkpoint exists."""
    if method is not None and job is None:
        raise UsageError(Problem("usage", "--method needs --job; for a quantization method use `pin: {quantization: …}` in the spec"))
    objects: list[object] = []

    def one(spec: DeploymentSpec) -> int:
        found = _trained(spec, job, method, book, out) if job is not None else _quantized(spec, book, out)
        result = write_spec(out, spec.name, found.files, spec=spec.file, force=force, partial=True)
        objects.append(found.data)
        if not (quiet or as_json):
            counts = f"{result.folder}: {len(result.written)} written, {len(result.unchanged)} unchanged"
            show("\n".join([f"{result.folder / found.folder}: {found.what}", *(f"  {line}" for line in found.needs), counts]))
        for note in found.notes if not quiet else ():
            tell(f"note: {note}")
        return DONE

    code = options.each_spec(specs, engine, one)
    if as_json:
        show_all_json(objects, several=len(specs) > 1)
    return code


class Found(NamedTuple):
    """A job: its files, the folder that they are in, what it is and needs in words, and its data for `--json`."""

    files: Sequence[Artifact]
    folder: str
    what: str
    needs: Iterable[str]
    data: object
    notes: Sequence[str]


def _quantized(spec: DeploymentSpec, book: RuleBook, out: Path) -> Found:
    """The job that makes the weights of a plan; raises `NothingFits` if there is no plan, or one that needs no job."""
    outcome = decide(spec, book, making=True)
    choice = chosen(outcome)
    if choice.job is None:
        loads = shipped("cli.json")["weights"].get(choice.origin, f"{choice.origin} weights")
        plan = f"the plan is {choice.engine} with {choice.method}, which loads {loads}"
        pin = "`pin: {quantization: …}` selects the weights to produce"
        raise NothingFits(Problem("nothing-to-make", f"{plan}; {pin}", spec.document.place(("pin",))))
    published = outcome.context.model.checkpoints.get(choice.method)
    notes = [f"{published.id} already holds {choice.method} weights; the main job would load them"] if published is not None else []
    best, name = candidates(outcome, all_engines=False), Path(spec.document.name).name
    files = job_files(outcome.plan, best, book, spec_file=name, back=back_to(spec, out))
    return Found(files, choice.job.folder, f"for {chosen_line(choice)}", job_lines(choice.job), job_json(choice.job), notes)


def _trained(spec: DeploymentSpec, job: str, method: str | None, book: RuleBook, out: Path) -> Found:
    found = training_job(resolve(spec, book), job, method)
    files = training_files(found, header_of(Path(spec.document.name).name), back_to(spec, out), spec.deploy.get("env"))
    library, version = found.facts["library"], found.facts["version"]
    data = {
        "job": found.name, "method": found.method, "library": library, "version": version, "gpus": found.gpus, "needs": needs_json(found.needs),
        "notes": list(found.notes),
    }  # fmt: skip
    what = f"{found.entry['title']}, {found.method}, with {library} {version}"
    return Found(files, found.name, what, needs_lines(found.needs, found.gpus), data, found.notes)

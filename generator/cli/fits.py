"""`gen-deploy fits`: which models run on a machine, and how."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import click

from generator.cli import options
from generator.cli.output import progress, show, show_json, tell
from generator.decide.decision import best_of_ready
from generator.decide.prefer import Ranked, order_of
from generator.errors import DONE, NOTHING_FITS, InputError, Problem, did_you_mean, fail, fold
from generator.facts.gpu import resolve_gpu
from generator.hub.lock import EMPTY, read_lock
from generator.quantity import gib
from generator.readers.document import Document
from generator.render.plan_json import figure
from generator.report.catalogue import table
from generator.rulebook.book import load
from generator.spec import project
from generator.spec.deployment import DeploymentSpec, ModelRequest, from_document

COLUMNS = ("model", "engine", "quantization", "max_model_len", "memory_gib", "output_tokens_per_second", "loss_percent")
SHOWN = 20
"""Lines of the table without `--limit`."""


@click.command("fits")
@click.argument("gpu", required=False)
@click.argument("word", default="")
@click.option("--gpus", type=click.IntRange(1, 72), default=1, show_default=True, help="How many of them the machine has.")
@click.option("--goal", metavar="GOAL", help="What counts: balanced, quality, throughput, latency or cost; default: by the profile.")
@click.option("--profile", metavar="PROFILE", default="dev", show_default=True, help="The workload: chat, batch, rag, agent, code, or dev for a single user.")
@click.option("--min-context", metavar="TOKENS", help="Only models that hold so many tokens, such as 32k.")
@click.option("--limit", type=click.IntRange(1), metavar="N", help=f"At most N models; default: the first {SHOWN}, with --json all.")
@options.options(options.rules_option, options.json_option)
def command(
    gpu: str | None, word: str, gpus: int, goal: str | None, profile: str, min_context: str | None, limit: int | None, rules: str, as_json: bool
) -> int:
    """List the models of the catalogue and the lock that run on GPU, best first, each as `plan` would deploy it for one user.

    WORD: only models that have it in their name. Without GPU, this machine. Models whose weights would have to be quantized first are left out.
    The table `fits` of the rules is the order."""
    book = load(rules)
    if "fits" not in book.tables:
        raise fail("missing-table", f"the rule set {book.name!r} has no table `fits`, which orders the models")
    if gpu is None:
        from generator.cli.detect import detected  # imported lazily: it asks other programs

        hardware: Mapping[str, object] = detected(book)
    else:
        hardware = {"gpu": gpu, "gpus_per_node": gpus}
    workload = {"profile": profile, **({"goal": goal} if goal else {}), **({"max_context": min_context} if min_context else {})}
    models, asked = book.section("models"), _asked(hardware, workload)
    try:
        resolve_gpu(asked, book)
    except InputError as error:
        raise InputError(problem._replace(place=None) for problem in error.problems) from None
    lock = asked.lock or EMPTY
    names = sorted({*models, *(name for name, one in lock.repositories.items() if one.config and not one.weights and "@" not in name)})
    named = [name for name in names if fold(word) in fold(name)]
    if not named:
        raise fail("unknown-model", f"no model has {word!r} in its name{did_you_mean(word, [name.rpartition('/')[2] for name in names])}")
    found: list[tuple[str, Ranked]] = []
    for name in progress(named, "models"):
        try:
            best = best_of_ready(replace(asked, model=ModelRequest(name)), book)
        except InputError:
            continue  # stored in a way that nothing here loads: `plan` says so
        if best is not None:
            found.append((name, best))
    rows = [_row(*found[place]) for place in order_of(book.tables["fits"], [one.facts for _, one in found])]
    if as_json:
        show_json(rows[:limit], versioned=False)
    elif rows:
        show(table(rows[: limit or SHOWN], COLUMNS))
        left = len(rows) - (limit or SHOWN)
        if left > 0:
            tell(f"{left} more run on it (--limit {len(rows)} shows all; a WORD, --goal and --min-context narrow them down)")
    if not rows:
        tell(f"error[nothing-fits]: none of {len(named)} models runs there as published")
        return NOTHING_FITS
    return DONE


def _asked(hardware: Mapping[str, object], workload: Mapping[str, object]) -> DeploymentSpec:
    """The spec of this machine and workload, with the lock of the project; raises `InputError` for a word that a spec may not have there."""
    data = {"name": "fits", "model": "any", "hardware": hardware, "workload": workload}
    spec, problems = from_document(Document("fits", data, {}, {}), Path("fits"))
    if spec is None:
        raise InputError(Problem(problem.code, problem.message) for problem in problems)
    path = project.lock_path(Path())
    return replace(spec, lock=replace(read_lock(path), choices={}) if path.is_file() else None)


def _row(model: str, best: Ranked) -> dict[str, object]:
    candidate, speed = best.candidate, best.candidate.performance.speed if best.candidate.performance else None
    return {
        "model": model, "engine": candidate.engine, "quantization": candidate.method, "max_model_len": candidate.max_model_len,
        "memory_gib": round(gib(candidate.memory.total), 3) if candidate.memory else None,
        "output_tokens_per_second": figure(speed.output_tokens_per_second.value) if speed else None, "loss_percent": candidate.quality.value,
    }  # fmt: skip

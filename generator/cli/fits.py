"""`gen-deploy fits`: which models run on a machine, and how."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import click

from generator.cli import detect, options
from generator.cli.output import progress, show, show_json, tell
from generator.decide.decision import best_of_ready
from generator.decide.prefer import Ranked, order_of
from generator.errors import DONE, NOTHING_FITS, InputError, did_you_mean, fail, fold
from generator.facts.gpu import resolve_gpu
from generator.hub.lock import EMPTY
from generator.quantity import gib
from generator.render.plan_json import figure
from generator.report.catalogue import table
from generator.rulebook.book import RuleBook
from generator.spec.deployment import ModelRequest
from generator.spec.words import machine, spec_of

COLUMNS = ("model", "engine", "quantization", "max_model_len", "memory_gib", "output_tokens_per_second", "loss_percent")
SHOWN = 20
"""Lines of the table without `--limit`."""


@click.command("fits")
@click.argument("gpu", required=False)
@click.argument("word", default="")
@options.gpus_option
@click.option("--goal", metavar="GOAL", help="What counts: balanced, quality, throughput, latency or cost; default: by the profile.")
@click.option("--profile", metavar="PROFILE", default="dev", show_default=True, help="The workload: chat, batch, rag, agent, code, or dev for a single user.")
@click.option("--min-context", metavar="TOKENS", help="Only models that hold so many tokens, such as 32k.")
@click.option("--limit", type=click.IntRange(1), metavar="N", help=f"At most N models; default: the first {SHOWN}, with --json all.")
@options.options(options.book_option, options.json_option)
def command(
    gpu: str | None, word: str, gpus: str | None, goal: str | None, profile: str, min_context: str | None, limit: int | None, book: RuleBook,
    as_json: bool,
) -> int:  # fmt: skip
    """List the models of the catalogue and the lock that run on GPU, best first, each as `plan` would deploy it for one user.

    WORD: only models that have it in their name. Without GPU, this machine. Models whose weights would have to be quantized first are left out.
    The table `fits` of the rules is the order."""
    if "fits" not in book.tables:
        raise fail("missing-table", f"the rule set {book.name!r} has no table `fits`, which orders the models")
    hardware: Mapping[str, object] = detect.detected(book) if gpu is None else machine(gpu, gpus)
    workload = {"profile": profile, **({"goal": goal} if goal else {}), **({"max_context": min_context} if min_context else {})}
    asked = spec_of({"name": "fits", "model": "any", "hardware": hardware, "workload": workload})
    asked = replace(asked, lock=asked.lock and replace(asked.lock, choices={}))
    resolve_gpu(asked, book)
    models, lock = book.section("models"), asked.lock or EMPTY
    names = sorted({*models, *(name for name, one in lock.repositories.items() if one.config and not one.weights and "@" not in name)})
    named = [name for name in names if fold(word) in fold(name)]
    if not named:
        near = did_you_mean(word, [name.rpartition("/")[2] for name in names])
        more = f"`gen-deploy lock -m {word if '/' in word else 'OWNER/MODEL'} -g {gpu or 'GPU'!r}` adds one of the model hub"
        raise fail("unknown-model", f"no model of catalogue or lock has {word!r} in its name{near}; {more}")
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


def _row(model: str, best: Ranked) -> dict[str, object]:
    candidate, speed = best.candidate, best.candidate.speed
    return {
        "model": model, "engine": candidate.engine, "quantization": candidate.method, "max_model_len": candidate.max_model_len,
        "memory_gib": round(gib(candidate.memory.total), 3) if candidate.memory else None,
        "output_tokens_per_second": figure(speed.output_tokens_per_second.value) if speed else None, "loss_percent": candidate.quality.value,
    }  # fmt: skip

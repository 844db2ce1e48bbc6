"""Generate `docs/handbook.md`: the handbook's models and GPUs by its own rules and by the default rules.

The handbook's method stands in the plan of the default rules too, as a runner-up or with the rows that reject it: that is the reason given.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NamedTuple

from blocks import put, table

from generator.decide.decision import Outcome, decide
from generator.errors import InputError
from generator.plan import Candidate, Rejection
from generator.quantity import gib
from generator.readers.document import parse_yaml
from generator.rulebook.book import RuleBook, load
from generator.spec.deployment import from_document

MODELS = ("llama-7b", "llama-13b", "llama-70b", "qwen-7b", "qwen-72b")
GPUS = ("A100-80GB", "A100-40GB", "H100-80GB", "L40S-48GB", "RTX4090-24GB", "T4-16GB")
SAME = {"fp16": ("bf16", "fp16")}
"""The handbook knows one kind of 16 bits."""


class Cell(NamedTuple):
    """One model on one GPU: what either rule set says, and why they differ (empty where they agree)."""

    model: str
    gpu: str
    theirs: Candidate
    ours: Candidate | None
    means: str
    why: str


def main() -> int:
    """Write what has changed."""
    handbook, default = load("handbook"), load("default")
    cells = [cell(model, gpu, handbook, default) for model in MODELS for gpu in GPUS]
    differ = sum(1 for one in cells if one.why)
    return put(
        {
            "docs/handbook.md": {
                "glance": table(("", *GPUS), ((model, *(short(c) for c in cells if c.model == model)) for model in MODELS)),
                "models": table(("the handbook's word", "planned by the default rules as"), meanings(cells)),
                "decisions": table(
                    ("model", "GPU", "handbook", "default rules", "context × sequences", "GiB in use:", "of:", "why they differ"),
                    map(row, cells),
                ),
                "count": f"Of {len(cells)} decisions {differ} differ in the number of bits or say that nothing fits; {len(cells) - differ} agree.",
            },
        }
    )


def cell(model: str, gpu: str, handbook: RuleBook, default: RuleBook) -> Cell:
    """Both plans of the shortest spec there is."""
    theirs = planned(model, gpu, handbook).plan.choice
    assert theirs is not None  # the handbook always has an answer
    outcome = planned(model, gpu, default)
    ours = outcome.plan.choice
    agree = ours is not None and ours.bits == theirs.bits
    return Cell(model, gpu, theirs, ours, outcome.context.model.id, "" if agree else reason(outcome, theirs, default))


def planned(model: str, gpu: str, book: RuleBook) -> Outcome:
    """The plan for a model and a GPU, everything else left to the rules."""
    spec, problems = from_document(parse_yaml(f"model: {model}\nhardware: {{gpu: {gpu}}}\n", "table.yaml"), Path("table.yaml"))
    if spec is None:
        raise InputError(problems)
    return decide(spec, book, thorough=True)


def reason(outcome: Outcome, theirs: Candidate, book: RuleBook) -> str:
    """Why the default rules do not take the handbook's method."""
    methods = SAME.get(theirs.method, (theirs.method,))
    works = [one for one in outcome.ranked if one.candidate.method in methods]
    choice = outcome.plan.choice
    if works and choice is not None:
        best = works[0]
        return lower(outcome, choice, best.candidate)
    rejected = [r for r in outcome.plan.rejected if r.candidate.method in methods]
    sized = [r for r in rejected if r.candidate.memory is not None and r.candidate.memory.budget > 0]
    fewest = min(sized or rejected, key=lambda r: (len(r.reasons), needed(r)))
    return refused(fewest, choice is None)


def lower(outcome: Outcome, ours: Candidate, theirs: Candidate) -> str:
    """The criterion that tells the choice from the handbook's method."""
    row = outcome.lost_by(theirs)
    assert row is not None
    more = ""
    if row.id == "whole-context":
        more = f" ({ours.method} holds {ours.max_model_len:,} tokens, {theirs.method} {theirs.max_model_len:,})"
    return f"{theirs.method} works and ranks lower by `{row.id}`: {row.because}{more}"


def needed(rejection: Rejection) -> float:
    """GiB that a rejected candidate needs."""
    memory = rejection.candidate.memory
    if memory is None:
        return float("inf")
    return gib(memory.weights + memory.kv_needed + memory.activations + memory.cuda_graphs + memory.runtime)


def refused(rejection: Rejection, nothing: bool) -> str:
    """The first row that rejects the handbook's method where it came nearest."""
    one, first = rejection.candidate, rejection.reasons[0]
    start = "nothing fits; " if nothing else ""
    if first.row == "out-of-memory" and one.memory is not None:
        need = f"needs {needed(rejection):.1f} GiB of {gib(one.memory.budget):.1f} with {one.max_num_seqs} sequences of {one.max_model_len:,} tokens"
        return f"{start}{one.method} {need} ({one.engine}; `out-of-memory`)"
    return f"{start}{one.method} of {one.engine} is rejected by `{first.row}`: {first.because}"


def meanings(cells: list[Cell]) -> list[tuple[str, str]]:
    """What each of the handbook's words stands for."""
    return list(dict.fromkeys((f"`{c.model}`", f"`{c.means}`") for c in cells))


def row(one: Cell) -> tuple[object, ...]:
    """A row of the long table."""
    theirs = f"{one.theirs.method} ({one.theirs.bits:g} bits)"
    if one.ours is None or one.ours.memory is None:
        return one.model, one.gpu, theirs, "nothing fits", None, None, None, one.why
    memory = one.ours.memory
    size = f"{one.ours.max_model_len:,} × {one.ours.max_num_seqs}"
    ours = f"{one.ours.engine}, {one.ours.method}"
    return one.model, one.gpu, theirs, ours, size, f"{gib(memory.total):.1f}", f"{gib(memory.capacity):.1f}", one.why or agreement(one)


def agreement(one: Cell) -> str:
    """How far two answers with the same number of bits are the same."""
    same = one.ours is not None and one.ours.method in SAME.get(one.theirs.method, (one.theirs.method,))
    return "they agree" if same else "the same number of bits"


def short(one: Cell) -> str:
    """A cell of the table at the top."""
    ours = one.ours.method if one.ours else "nothing fits"
    return f"{ours} ({one.theirs.method})"


if __name__ == "__main__":
    sys.exit(main())

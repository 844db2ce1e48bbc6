"""The decision for a terminal, row by row: the facts each row read, their sources, and the row's position.

Floor 7, pure; the wording is in `templates/explain/`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any

from generator.errors import printable
from generator.plan import Candidate, Plan, Reason, Rejection
from generator.quantity import gib, grouped
from generator.render.plan_json import as_json, reason_json
from generator.render.plan_md import TERMS, bar
from generator.render.start_up import start_up
from generator.render.templates import render
from generator.rulebook.book import RuleBook
from generator.rulebook.table import Row

Data = dict[str, Any]


def explain(plan: Plan, book: RuleBook, why_not: str | None = None, lost_by: Callable[[Candidate], Row | None] = lambda _: None) -> str:
    """A decision as text, or the reasons why `ENGINE[/METHOD]` was not chosen.

    `lost_by` gives the criterion by which a candidate that works lost to the choice."""
    if why_not is not None:
        return printable(render("explain/why_not.j2", **_why_not(plan, book, why_not, lost_by)))
    return printable(render("explain/decision.j2", **_decision(plan, book)))


def _decision(plan: Plan, book: RuleBook) -> Data:
    data, choice = as_json(plan, rejected=False), plan.choice
    steps = [{"name": name, "rows": list(rows)} for name, rows in groupby(data["trace"], key=lambda entry: entry["step"])]
    memory, drawn = choice.memory if choice is not None else None, bar(data["memory"])
    return {
        "name": plan.name, "choice": choice and described(choice), "rules": f"{plan.rules_name} {plan.rules_digest}", "sources": book.section("sources"),
        "bar": drawn and drawn["cells"], "total": gib(memory.total) if memory else 0.0, "capacity": gib(memory.capacity) if memory else 0.0,
        "start_up": choice and start_up(plan, choice, book), "terms": data["memory_terms"], "marks": {name: mark for name, _, mark in TERMS},
        "steps": [*steps, *([{"name": "warnings", "rows": data["warnings"]}] if plan.warnings else [])],
        "next_best": [{"id": one.id, "sized": _sized(one)} for one in plan.alternatives], "rejected": _rejected(plan.rejected),
    }  # fmt: skip


def described(candidate: Candidate) -> str:
    """A candidate in a line."""
    what = f"{candidate.engine} {candidate.engine_version}, {candidate.method}, {candidate.gpus} GPU(s)"
    return f"{what} ({candidate.id}); {_sized(candidate)}"


def _sized(candidate: Candidate) -> str:
    memory = candidate.memory
    if memory is None:
        return "not sized"
    share = f", gpu_memory_utilization {candidate.gpu_memory_utilization:g}" if (candidate.gpu_memory_utilization or 1.0) < 1.0 else ""
    return (
        f"{gib(memory.total):.2f} of {gib(memory.capacity):.2f} GiB of the fullest GPU, "
        f"headroom {memory.headroom:.1%}, context {candidate.max_model_len}, {candidate.max_num_seqs} sequences{share}"
    )


def _pair(rejection: Rejection) -> tuple[str, str]:
    return rejection.candidate.engine, rejection.candidate.method


def _rejected(rejections: Sequence[Rejection]) -> list[Data]:
    """The rows against each engine and method, and how many candidates that are."""
    of_pairs = sorted(grouped(rejections, _pair), key=lambda found: _pair(found[0]))
    return [
        {"name": "/".join(_pair(found[0])), "count": len(found), "rows": ", ".join(dict.fromkeys(reason.row for one in found for reason in one.reasons))}
        for found in of_pairs
    ]  # fmt: skip


def _why_not(plan: Plan, book: RuleBook, wanted: str, lost_by: Callable[[Candidate], Row | None]) -> Data:
    engine, _, method = wanted.partition("/")

    def asked(candidate: Candidate) -> bool:
        return candidate.engine == engine and method in ("", candidate.method)

    choice = plan.choice
    lower = []
    for one in filter(asked, plan.alternatives):
        row = lost_by(one) if choice is not None else None
        lost = reason_json(Reason(row.id, row.because, row.source, {}, row.at)) if row is not None else None
        lower.append({"id": one.id, "sized": _sized(one), "faster": _faster(one, choice), "lost_by": lost})
    rejected = [
        {"id": first.candidate.id, "sized": _sized(first.candidate), "others": [one.candidate.id for one in others],
         "rows": [reason_json(reason) for reason in first.reasons]}
        for first, *others in grouped((one for one in plan.rejected if asked(one.candidate)), _alike)
    ]  # fmt: skip
    chosen = choice and {"id": choice.id, "described": described(choice)}
    return {
        "wanted": wanted, "choice": chosen, "chosen": choice is not None and asked(choice), "lower": lower, "rejected": rejected,
        "sources": book.section("sources"),
    }  # fmt: skip


def _faster(candidate: Candidate, choice: Candidate | None) -> float | None:
    one, other = candidate.speed, choice.speed if choice is not None else None
    return one.output_tokens_per_second.value / other.output_tokens_per_second.value if one is not None and other is not None else None


def _alike(rejection: Rejection) -> str:
    """Equal for rejections by equal rows that read equal values."""
    return repr([(reason.row, sorted((n, str(r.value)) for n, r in reason.read.items())) for reason in rejection.reasons])

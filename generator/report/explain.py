"""The decision for a terminal, row by row: the facts each row read, their sources, and the row's position.

Floor 7, pure; the wording is in `templates/explain/`."""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby
from typing import Any

from generator.errors import printable
from generator.plan import Candidate, Plan, Reason, Rejection
from generator.quantity import grouped
from generator.render.plan_json import as_json, reason_json
from generator.render.plan_md import TERMS, bar
from generator.render.templates import render
from generator.render.weights import start_up
from generator.rulebook.book import RuleBook
from generator.rulebook.table import Row

Data = dict[str, Any]


def explain(plan: Plan, book: RuleBook, why_not: str | None = None, lost_by: Callable[[Candidate], Row | None] = lambda _: None) -> str:
    """A decision as text, or the reasons why `ENGINE[/METHOD]` was not chosen.

    `lost_by` gives the criterion by which a candidate that works lost to the choice."""
    page, data = ("why_not", _why_not(plan, why_not, lost_by)) if why_not is not None else ("decision", _decision(plan, book))
    return printable(render(f"explain/{page}.j2", plan=plan, sources=book.section("sources"), **data))


def _decision(plan: Plan, book: RuleBook) -> Data:
    data = as_json(plan, rejected=False)
    steps = [{"name": name, "rows": list(rows)} for name, rows in groupby(data["trace"], key=lambda entry: entry["step"])]
    drawn = bar(data["memory"])
    return {
        "bar": drawn and drawn["cells"], "start_up": plan.choice and start_up(plan, plan.choice, book), "terms": data["memory_terms"],
        "marks": {name: mark for name, _, mark in TERMS},
        "steps": [*steps, *([{"name": "warnings", "rows": data["warnings"]}] if plan.warnings else [])],
        "rejected": sorted(grouped(plan.rejected, _pair), key=lambda found: _pair(found[0])),
    }  # fmt: skip


def _pair(rejection: Rejection) -> tuple[str, str]:
    return rejection.candidate.engine, rejection.candidate.method


def _why_not(plan: Plan, wanted: str, lost_by: Callable[[Candidate], Row | None]) -> Data:
    engine, _, method = wanted.partition("/")

    def asked(candidate: Candidate) -> bool:
        return candidate.engine == engine and method in ("", candidate.method)

    choice = plan.choice
    lower = []
    for one in filter(asked, plan.alternatives):
        row = lost_by(one) if choice is not None else None
        lost = reason_json(Reason(row.id, row.because, row.source, {}, row.at)) if row is not None else None
        lower.append({"candidate": one, "faster": _faster(one, choice), "lost_by": lost})
    alike = grouped((one for one in plan.rejected if asked(one.candidate)), _alike)
    rejected = [{"candidates": [one.candidate for one in same], "rows": list(map(reason_json, same[0].reasons))} for same in alike]
    return {"wanted": wanted, "chosen": choice is not None and asked(choice), "lower": lower, "rejected": rejected}


def _faster(candidate: Candidate, choice: Candidate | None) -> float | None:
    one, other = candidate.speed, choice.speed if choice is not None else None
    return one.output_tokens_per_second.value / other.output_tokens_per_second.value if one is not None and other is not None else None


def _alike(rejection: Rejection) -> str:
    """Equal for rejections by equal rows that read equal values."""
    return repr([(reason.row, sorted((n, str(r.value)) for n, r in reason.read.items())) for reason in rejection.reasons])

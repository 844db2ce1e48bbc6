"""Decisions that are stored as files: those that a base has committed against what is decided now, and two folders of them.

Floor 7, pure; the texts of committed files are read when they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from generator.compare.causes import MOST, against
from generator.compare.files import file_diffs, texts_of
from generator.compare.model import Cause, Change, Comparison, Kept, RulesName, Tool, in_order
from generator.compare.totals import figures, totals
from generator.compare.view import LAYOUT, View, decisive, level, moves, other_moves, pairs, view_of_json, words
from generator.decide.decision import Outcome
from generator.plan import Candidate
from generator.render.plan_file import plain
from generator.report.speed import Price

Plans = Mapping[str, View]
"""Stored plans by spec name."""


class Stored(NamedTuple):
    """What a base has committed for one spec: its plan, the texts of its files by path, and the way back from their folder to the spec's."""

    plan: View
    texts: Callable[[], Mapping[str, str]]
    back: str
    tool: Tool


def by_tool(name: str, path: str, stored: Stored, now: Outcome | None, seen: View | None, problem: str | None) -> Change | None:
    """The change that neither rules nor spec explain: from what is committed to what this version decides for the same spec and rules."""
    before = view_of_json(stored.plan)
    choice, found = before["choice"], (seen or {}).get("choice")
    if choice and found:  # a key that only one version writes is no decision
        before = {**before, "choice": {key: choice.get(key, value) for key, value in found.items()}}
    after = {**seen, "alternatives": []} if seen is not None else None
    how = level(before, after)
    if how is None or how == "wording":
        return None
    told = (moves(before["choice"], found) or other_moves(before, after or {})) if choice and found else []
    why = (_origin(stored, now), *(against(_candidate(choice), now) if choice and now else ()))
    files = file_diffs(_comparable(stored, found), texts_of(now, stored.back)) if decisive(how) else ()
    return Change(name, path, how, "tool", words(choice), words(found), tuple(told), why[:MOST], (), files, problem)


def _origin(stored: Stored, now: Outcome | None) -> Cause:
    """Why a committed decision is another one: the version, its rules, or files that were not written again after a change."""
    tool = stored.tool
    stale = Cause("committed", "", "considers", f"the files of {tool.label} were not up to date")
    rules = (stored.plan.get("rules") or {}).get("name")
    if now is not None and (rules != now.plan.rules_name or not _agree(stored.plan.get("spec"), plain(dict(now.plan.spec)))):
        return stale
    if tool.old != tool.new:
        return Cause("tool", "", "considers", f"gen-deploy {tool.old} → {tool.new}" if tool.old else f"an earlier gen-deploy → {tool.new}")
    if tool.rules[0] != tool.rules[1]:
        return Cause("tool", "", "considers", f"gen-deploy {tool.new}, its rules {tool.rules[0]} → {tool.rules[1]}")
    return stale


def _agree(one: object, other: object, key: str = "") -> bool:
    """Whether two specs say the same, as far as both versions write it; pins are the user's alone."""
    if isinstance(one, Mapping) and isinstance(other, Mapping) and key != "pin":
        return all(_agree(one[name], other[name], name) for name in one.keys() & other.keys())
    return one == other


def _candidate(choice: View) -> Candidate:
    """A stored choice, as far as the rules that are against it go by it."""
    tensors, stages, copies = (choice.get(key) or 1 for key in LAYOUT)
    return Candidate(choice["engine"], "", choice["quantization"], 0, None, "", None, None, "", "", tensors, stages, copies)


def _comparable(stored: Stored, found: View | None) -> Mapping[str, str]:
    """The committed files of the engines that are compared; `--all-engines` writes others."""
    engines = {one["engine"] for one in (stored.plan["choice"], found) if one}
    return {path: text for path, text in stored.texts().items() if "/" not in path or path.split("/")[0] in engines}


def kept(name: str, stored: Stored | None, before: View | None, now: Outcome | None, moved: bool) -> Kept | None:
    """What the lock keeps of a decision against the rules, or cannot keep; `before` is the view of the base, `moved` whether the decision changes."""
    warning = next((one for one in now.plan.warnings if "lock.state" in one.read), None) if now is not None else None
    if now is None or warning is None:
        return None
    told = {one["id"] for one in (stored.plan if stored is not None else before or {}).get("warnings") or []}
    state, says = str(warning.read["lock.state"].value), warning.because.partition(": ")[2] or warning.because
    if stored is None or moved or warning.row in told:
        return Kept(name, state, says, warning.row in told, None)
    choice = stored.plan["choice"]
    return Kept(name, state, says, False, file_diffs(_comparable(stored, choice), texts_of(now, stored.back)))


def compared_plans(labels: tuple[str, str], old: Plans, new: Plans, prices: Mapping[str, Price]) -> Comparison:
    """Compare two folders of stored plans; of rows, only how many candidates each rejects."""
    changes: list[Change] = []
    sums = []
    for name in sorted(old.keys() & new.keys()):
        one, other = view_of_json(old[name]), view_of_json(new[name])
        changes += _of_plans(name, one, other)
        sums.append((name, figures(one, prices), figures(other, prices)))
    names = [_rules_name(label, plans) for label, plans in zip(labels, (old, new), strict=True)]
    added, removed = tuple(sorted(new.keys() - old.keys())), tuple(sorted(old.keys() - new.keys()))
    return Comparison(names[0], names[1], len(new), tuple(in_order(changes)), (), added, removed, totals=totals(sums, prices))


def _of_plans(name: str, one: View, other: View) -> Iterator[Change]:
    """The change between two stored plans, if any."""
    how = level(one, other)
    if how is None:
        return
    before, after = one["choice"], other["choice"]
    told = (moves(before, after) or other_moves(one, other)) if before and after else []
    counts = pairs(one["rejected"], other["rejected"])
    why = tuple(Cause("reject", row, "rejects", f"{old or 0} → {new or 0} candidates") for row, old, new in counts if old != new)
    yield Change(name, f"{name}/plan.json", how, "rules", words(before), words(after), tuple(told), why[:MOST])


def _rules_name(label: str, plans: Plans) -> RulesName:
    rules = [plan.get("rules") or {} for plan in plans.values()]
    digests = sorted({str(r.get("digest")) for r in rules})
    return RulesName(label, ", ".join(sorted({str(r.get("name")) for r in rules})), digests[0] if len(digests) == 1 else "several digests")

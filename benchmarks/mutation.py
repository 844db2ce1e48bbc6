"""Mutation check of rule sets: is every row, and every threshold that rows read, pinned by some case or example?

Removes each `reject`, `prefer` and `settings` row in turn, and moves each threshold that they read by 20 % either way; a mutant is
caught if the decision or a setting of some case or example changes: what is chosen, and what is written for it. A reason more or less
against a candidate that is out of the question anyway does not count, nor does a number that is merely printed. Prints the survivors, and how many rows and how
many moved thresholds were caught; exits 1 where either is below the bar, over all the sets together.

    python benchmarks/mutation.py                        # the sets that ship
    python benchmarks/mutation.py --rules NAME-OR-DIR    # one set; --sample N: so many mutants of it
"""

from __future__ import annotations

import argparse
import copy
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from generator.cases.case import case_files, read_cases
from generator.cases.compare import example_files
from generator.decide.decision import decide
from generator.errors import GenDeployError
from generator.plan import Plan
from generator.render.plan_json import choice_json
from generator.rulebook.book import RuleBook, sections_of
from generator.rulebook.rulesets import SHIPPED, find, put_together
from generator.spec.deployment import DeploymentSpec, read_spec

TABLES = ("reject", "prefer", "settings")
STEP = 0.2
BAR = 0.9


class Mutant(NamedTuple):
    """One change of the rules: what it is called, and the sections after it. `touches` names the rows that it changes."""

    name: str
    sections: dict[str, Any]
    touches: frozenset[str]


def mutants(merged: dict[str, Any]) -> Iterator[Mutant]:
    """Every row removed, and every threshold that rows read moved either way."""
    read: dict[str, set[str]] = {}
    for table in TABLES:
        for row in merged["tables"][table]["rows"]:
            changed = dict(merged)
            rows = [other for other in merged["tables"][table]["rows"] if other["id"] != row["id"]]
            changed["tables"] = {**merged["tables"], table: {**merged["tables"][table], "rows": rows}}
            yield Mutant(f"without {table}/{row['id']}", sections_of(changed), frozenset({row["id"]}))
            for name in _thresholds(row, merged["thresholds"]):
                read.setdefault(name, set()).add(row["id"])
    for name, rows_of in read.items():
        for factor in (1 - STEP, 1 + STEP):
            if not merged["thresholds"][name].get("value", 1):
                continue  # nothing is a fifth more than 0
            thresholds = copy.deepcopy(merged["thresholds"])
            for entry in (thresholds[name], *thresholds[name].get("by_version", ())):
                if "value" in entry:
                    other = entry["value"] * factor
                    entry["value"] = round(other) if isinstance(entry["value"], int) and abs(entry["value"]) > 1 / STEP else other
            yield Mutant(f"{name} × {factor:g}", sections_of({**merged, "thresholds": thresholds}), frozenset(rows_of))


def _thresholds(row: dict[str, Any], known: dict[str, Any]) -> set[str]:
    cells = [cell for cell in (row.get("when") or {}).values() if isinstance(cell, dict)]
    words = [bound for cell in cells for bound in cell.values()] + list((row.get("set") or {}).values())
    return {word for word in words if isinstance(word, str) and word in known}


def specs_of(rules: Path) -> list[tuple[str, DeploymentSpec]]:
    """The specs of the cases and of the examples."""
    found = []
    for case in read_cases(case_files(rules)):
        try:
            found.append((case.id, case.spec()))
        except GenDeployError:
            continue
    for path in example_files(rules):
        try:
            found.append((path.stem, read_spec(path)))
        except GenDeployError:
            continue
    return found


def decision(plan: Plan) -> Any:
    """What counts of a plan: the choice with its settings. That a row gives one more reason against a candidate does not."""
    return plan.choice and choice_json(plan.choice)


def outcome(spec: DeploymentSpec, book: RuleBook) -> tuple[Any, frozenset[str]]:
    """The decision of a spec (or the codes of its errors), and the rows that took part: without these, nothing can change."""
    try:
        plan = decide(spec, book).plan
    except GenDeployError as error:
        return tuple(problem.code for problem in error.problems), frozenset()
    rows = {step.row for step in plan.trace} | {reason.row for rejection in plan.rejected for reason in rejection.reasons}
    return decision(plan), frozenset(rows)


def main(argv: list[str] | None = None) -> int:
    """Run the check and print its result."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rules", action="append", help="a rule set, several times if need be (default: those that ship)")
    parser.add_argument("--sample", type=int, default=0, help="only so many mutants of each set, chosen by a fixed seed")
    parser.add_argument("--bar", type=float, default=BAR)
    arguments = parser.parse_args(argv)
    tried: list[str] = []
    survived: list[str] = []
    for rules in arguments.rules or SHIPPED:
        start = time.perf_counter()
        found, survivors, specs = check(rules, arguments.sample)
        tried += found
        survived += survivors
        for name in survivors:
            print(f"{rules}: survives: {name}")
        print(f"{rules}: {told(found, survivors)}, by {specs} specs, in {time.perf_counter() - start:.0f} s")
    print(f"together: {told(tried, survived)}; the bar is {arguments.bar:.0%} of each")
    return 0 if all(share(*part) >= arguments.bar for part in parts(tried, survived).values()) else 1


def parts(tried: list[str], survived: list[str]) -> dict[str, tuple[int, int]]:
    """How many were caught and how many tried, of rows and of thresholds."""
    counts = {}
    for kind, is_moved in (("rows taken away", False), ("thresholds moved", True)):
        of_kind, lived = (sum(moved(name) is is_moved for name in names) for names in (tried, survived))
        counts[kind] = of_kind - lived, of_kind
    return counts


def moved(name: str) -> bool:
    """Whether a mutant is a threshold that moved, not a row that is gone."""
    return " × " in name


def share(caught: int, tried: int) -> float:
    """The part that was caught; all of none."""
    return caught / tried if tried else 1.0


def told(tried: list[str], survived: list[str]) -> str:
    """The same in words."""
    return " and ".join(f"{c} of {n} {kind} ({share(c, n):.1%})" for kind, (c, n) in parts(tried, survived).items() if n) + " are caught"


def check(rules: str, sample: int = 0) -> tuple[list[str], list[str], int]:
    """All mutants that were tried, those that nothing caught, and the number of specs."""
    path = find(rules)
    merged = put_together(path)
    book = RuleBook(sections_of(merged))
    specs = specs_of(path)
    before = [(spec, *outcome(spec, book)) for _, spec in specs]
    tried = list(mutants(merged))
    if sample and sample < len(tried):
        tried = random.Random(0).sample(tried, sample)
    survivors = []
    for mutant in tried:
        changed = RuleBook(dict(mutant.sections))
        first = [one for one in before if mutant.touches & one[2]]
        # a threshold that moves can bring in a row that took no part before
        rest = [one for one in before if moved(mutant.name) and not mutant.touches & one[2]]
        if not any(outcome(spec, changed)[0] != was for spec, was, _ in (*first, *rest)):
            survivors.append(mutant.name)
    return [mutant.name for mutant in tried], survivors, len(specs)


if __name__ == "__main__":
    sys.exit(main())

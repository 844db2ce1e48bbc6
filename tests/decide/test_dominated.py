"""A tenth of the grid of `benchmarks/dominated.py`: how many choices one of their own alternatives dominates."""

from __future__ import annotations

from collections import Counter

import pytest
from plans import book

from benchmarks.dominated import decided, dominated, shown, specs

MOST = {"layout": 0, "method": 0, "engine": 0}
"""How many may be dominated, by what the better one differs in."""


@pytest.mark.slow
def test_few_choices_are_dominated() -> None:
    found = []
    for spec in specs(tenth=True):
        outcome = decided(spec, book())
        if outcome is not None and outcome.plan.choice is not None:
            found += list(dominated(spec, outcome, book()))
    count = Counter(one.kind for one in found)
    assert all(count[kind] <= most for kind, most in MOST.items()), "\n".join(map(shown, found))

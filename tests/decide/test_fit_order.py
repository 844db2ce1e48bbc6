"""Fit: what is lowered, in which order, and how far."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from generator.decide.fit import Wish, trials


@st.composite
def wishes(draw: st.DrawFn) -> Wish:
    """Any wish; each least is at most what is asked for."""
    asked = [draw(st.integers(1, most)) for most in (1 << 20, 1 << 10, 1 << 15)]
    context, sequences, batched = asked
    return Wish(context, draw(st.integers(1, context)), sequences, draw(st.integers(1, sequences)), batched, draw(st.integers(1, batched)))


def test_steps_go_first_then_sequences_then_the_context() -> None:
    assert list(trials(Wish(8192, 3000, 4, 1, 2048, 512))) == [
        (8192, 4, 2048), (8192, 4, 1024), (8192, 4, 512), (8192, 2, 512), (8192, 1, 512), (4096, 1, 512), (3000, 1, 512),
    ]  # fmt: skip


@given(wishes())
def test_from_what_is_asked_to_the_least_and_never_below(wish: Wish) -> None:
    found = list(trials(wish))
    assert found[0] == (wish.context, wish.sequences, wish.batched)
    assert found[-1] == (wish.least_context, wish.least_sequences, wish.least_batched)
    for before, after in pairwise(found):
        lowered = [i for i in range(3) if after[i] != before[i]]
        assert len(lowered) == 1  # one part after the other
        (i,) = lowered
        assert before[i] // 2 <= after[i] < before[i]

"""Cells as sets: what the boxes say is in a row is what the row's own tests accept."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from generator.rulebook.lint.tables import OTHER, Box, Space
from generator.rulebook.sections import Name, Threshold
from generator.rulebook.table import cell_test

NAMES: dict[str, Name] = {
    "word": {"type": "word", "values": ["a", "b", "c"]},
    "open": {"type": "word"},
    "flag": {"type": "flag"},
    "number": {"type": "number"},
    "count": {"type": "number", "unit": "GPU"},
    "words": {"type": "words", "values": ["x", "y", "z"]},
}
THRESHOLDS: dict[str, Threshold] = {"two": {"value": 2}}
CUTS = [0, 1, 2, 3]
"""All numbers that a cell of these tests compares with."""
COMPARED: list[tuple[str, object]] = [("number", CUTS), ("count", CUTS), ("count", {"min": "two"}), ("open", ["a", "b", "c"])]
SPACE = Space(NAMES, {}, THRESHOLDS, COMPARED)

words = st.sampled_from(["a", "b", "c"])
numbers = st.sampled_from([0, 1, 2, 3])
bounds = st.one_of(numbers, st.just("two"))


def one_or_many(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(values, st.lists(values, min_size=1, max_size=3), st.lists(values, min_size=1, max_size=3).map(lambda v: {"not": v}))


ranges = st.dictionaries(st.sampled_from(["min", "over", "below", "max"]), bounds, min_size=1, max_size=3)
CELLS: dict[str, st.SearchStrategy[Any]] = {
    "word": st.one_of(one_or_many(words), st.just("unknown"), st.just(["a", "unknown"]), st.just({"not": "unknown"})),
    "open": one_or_many(words),
    "flag": st.one_of(st.booleans(), st.just("unknown")),
    "number": st.one_of(ranges, one_or_many(numbers), st.just("unknown")),
    "count": ranges,
    "words": one_or_many(st.sampled_from(["x", "y", "z"])),
}
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "word": st.sampled_from(["a", "b", "c", None]),
    "open": st.sampled_from(["a", "b", "c", "d", None]),
    "flag": st.sampled_from([True, False, None]),
    "number": st.sampled_from([-7.0, 0, 0.25, 1, 1.75, 2, 2.5, 3, 4, 1e9, None]),
    "count": st.sampled_from([0, 1, 2, 3, 4, 70, None]),
    "words": st.sets(st.sampled_from(["x", "y", "z"])).map(frozenset),
}
rows = st.dictionaries(st.sampled_from(list(CELLS)), st.none(), max_size=3).flatmap(
    lambda keys: st.fixed_dictionaries({key: CELLS[key] for key in keys})
)
facts = st.fixed_dictionaries(VALUES)


def within(box: Box, values: dict[str, Any]) -> bool:
    """Whether a combination of values is in a box."""
    return all((known(name, values[name]) if word is None else word in values[name]) in part for (name, word), part in box.items())


def known(name: str, value: Any) -> Any:
    """The value of the space that no cell tells apart from this one: an equal one, another word, another number of the same span."""
    if value in SPACE.domains[name]:
        return value
    if isinstance(value, str):
        return OTHER
    return next(one for one in SPACE.domains[name] if isinstance(one, float) and all((one > cut) is (value > cut) for cut in CUTS) and one not in CUTS)


def accepted(when: dict[str, Any], values: dict[str, Any]) -> bool:
    def bound(limit: Any) -> Any:
        return THRESHOLDS[limit]["value"] if isinstance(limit, str) else limit

    return all(cell_test(cell, bound)(values[name]) for name, cell in when.items())


@given(rows, facts)
def test_boxes_hold_what_the_row_accepts(when: dict[str, Any], values: dict[str, Any]) -> None:
    assert any(within(box, values) for box in SPACE.boxes(when)) is accepted(when, values)


@given(rows, facts)
def test_nothing_is_in_an_empty_box(when: dict[str, Any], values: dict[str, Any]) -> None:
    for box in SPACE.boxes(when):
        assert not (SPACE.empty(box) and within(box, values))


@given(rows, rows, facts)
def test_overlap_is_both(one: dict[str, Any], other: dict[str, Any], values: dict[str, Any]) -> None:
    found = [both for a in SPACE.boxes(one) for b in SPACE.boxes(other) if (both := SPACE.overlap(a, b)) is not None]
    assert any(within(box, values) for box in found) is (accepted(one, values) and accepted(other, values))


@given(rows, rows, facts)
def test_what_is_left_is_one_without_the_other(one: dict[str, Any], other: dict[str, Any], values: dict[str, Any]) -> None:
    left = SPACE.left(SPACE.boxes(one), SPACE.boxes(other))
    assert any(within(box, values) for box in left) is (accepted(one, values) and not accepted(other, values))


def test_contradictions_are_empty() -> None:
    contradictions: list[dict[str, Any]] = [
        {"number": {"over": 2, "below": 2}},
        {"number": {"min": 3, "max": 2}},
        {"count": {"over": 1, "below": 2}},
        {"word": {"not": ["a", "b", "c"]}},
        {"words": "x"} | {"flag": True, "number": {"over": "two", "max": 2}},
    ]
    for when in contradictions:
        assert all(SPACE.empty(box) for box in SPACE.boxes(when)), when
    assert not SPACE.empty(SPACE.boxes({"number": {"over": 1, "below": 2}})[0])
    assert not SPACE.empty(SPACE.boxes({"number": {"min": 1, "max": 1}})[0])

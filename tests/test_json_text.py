"""JSON from outside: depth, duplicates, constants and digits, each refused with its place, whatever the interpreter's own limits are."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generator.errors import InputError
from generator.readers.json_text import MAX_DEPTH, parse, parse_object, parse_or_none

VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(alphabet='[]{}"\\,: a\n', max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(alphabet='[]{}"\\a', max_size=4), inner, max_size=4),
    max_leaves=30,
)


def nested(value: Any, levels: int, objects: bool) -> Any:
    for _ in range(levels):
        value = {'"]}\\': value} if objects else ["[[[[", value]
    return value


def depth(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(depth, inner), default=0)


@given(VALUES, st.integers(MAX_DEPTH - 6, MAX_DEPTH + 2), st.booleans(), st.sampled_from((None, 1)))
def test_the_limit_is_the_number_of_levels_and_the_place_is_the_bracket(value: Any, levels: int, objects: bool, indent: int | None) -> None:
    value = nested(value, levels, objects)
    text = json.dumps(value, indent=indent)
    if depth(value) <= MAX_DEPTH:
        assert parse(text, "x") == value
        return
    with pytest.raises(InputError) as caught:
        parse(text, "x")
    (problem,) = caught.value.problems
    assert problem.code == "too-deep" and problem.place is not None
    line, column = problem.place.line, problem.place.column
    before = "\n".join(text.split("\n")[: line - 1]) + ("\n" if line > 1 else "") + text.split("\n")[line - 1][: column - 1]
    assert text[len(before)] in "[{"
    assert depth(json.loads(_closed(before))) == MAX_DEPTH


def _closed(text: str) -> str:
    """A text that was cut before a value, with a value there and its brackets closed."""
    opened: list[str] = []
    inside = escaped = False
    for c in text:
        if inside:
            inside, escaped = (c != '"' or escaped, c == "\\" and not escaped)
        elif c == '"':
            inside = True
        elif c in "[{":
            opened.append("]" if c == "[" else "}")
        elif c in "]}":
            opened.pop()
    return text + "0" + "".join(reversed(opened))


@pytest.mark.parametrize("opening", ["[", '{"a":', '[{"a":'])
@pytest.mark.parametrize("times", [MAX_DEPTH + 1, 1_000, 100_000])
def test_too_deep_is_said_the_same_way_however_deep(opening: str, times: int) -> None:
    closing = opening[::-1].translate(str.maketrans("[{", "]}", '":a'))
    text = opening * times + "1" + closing * times
    with pytest.raises(InputError) as caught:
        parse(text, "x")
    at = opening * MAX_DEPTH + opening if len(opening) < 6 else opening * (MAX_DEPTH // 2)
    column = len(at) - (len(opening) if len(opening) < 6 else 0) + 1
    assert str(caught.value) == f"x:1:{column}: error[too-deep]: nested deeper than 64 levels"
    assert parse_or_none(text.encode()) is None


def test_little_stack_does_not_change_what_is_refused() -> None:
    """The deepest text that is allowed is read with what a call from deep inside leaves."""
    text = "[" * MAX_DEPTH + "]" * MAX_DEPTH

    def at(frames: int) -> Any:
        return at(frames - 1) if frames else parse(text, "x")

    assert at(sys.getrecursionlimit() // 2) == json.loads(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"a": 1,\n "b": 2, "a": 3}', "x:1:1: error[duplicate-key]: 'a' appears twice in an object"),
        ("[NaN]", "x:1:1: error[json-syntax]: NaN is not JSON"),
        ("[1,\n2,,]", "x:2:3: error[json-syntax]: Expecting value"),
        (f"[{'9' * 5000}]", "x:1:1: error[json-syntax]: a number has too many digits"),
        ("", "x:1:1: error[json-syntax]: Expecting value"),
    ],
)
def test_what_is_not_strict_json_is_refused(text: str, said: str) -> None:
    with pytest.raises(InputError) as caught:
        parse(text, "x")
    assert str(caught.value) == said
    assert parse_or_none(text.encode()) is None


def test_duplicates_and_constants_pass_where_it_is_not_strict() -> None:
    assert parse('{"a": 1, "a": 2, "b": Infinity}', "x", strict=False) == {"a": 2, "b": float("inf")}
    with pytest.raises(InputError, match="a JSON object is expected"):
        parse_object("[]", "x")
    assert parse_or_none(b"\xff{}") is None


def test_sixty_thousand_duplicates_are_found_at_once() -> None:
    pairs = ",".join(f'"{n}":0' for n in range(60_000))
    with pytest.raises(InputError, match="'59999' appears twice in an object"):
        parse(f'{{{pairs},"59999":1}}', "x")

"""Values of options: as words of a command line, and in a YAML file."""

from __future__ import annotations

import pytest

from generator.verify.catalogue import Option
from generator.verify.values import old_word, wrong_text, wrong_value


def option(kind: str, words: tuple[str, ...] | None = None, numbers: bool = False, nargs: str | int | None = None) -> Option:
    return Option("--x", ("--x",), kind, nargs, words, numbers=numbers)


@pytest.mark.parametrize(
    ("kind", "right", "wrong"),
    [
        ("int", ["0", "-1", "8192"], ["8k", "1.5", "", "1e3", "1\n"]),
        ("uint", ["0", "7"], ["-1", "x"]),
        ("float", ["0.9", ".5", "1.", "-1e-3", "2"], [".", "1,5", "e3", ""]),
        ("size", ["-1", "512", "8k", "1.5G", "2Mi"], ["-2", "8kb", "auto"]),
        ("size_or_auto", ["auto", "8k"], ["automatic", "-2"]),
        ("duration", ["5m", "1h30m", "-1", "10", "500ms"], ["5 m", "m", "5d"]),
        ("bool", ["1", "true", "F"], ["yes", "on", "tRUE"]),
        ("json", ["{}", '{"a": [1]}', "1"], ["{", "{'a': 1}", ""]),
        ("string", ["", "anything"], []),
    ],
)
def test_text(kind: str, right: list[str], wrong: list[str]) -> None:
    assert [text for text in right if wrong_text(option(kind), text) is not None] == []
    assert [text for text in wrong if wrong_text(option(kind), text) is None] == []


def test_words() -> None:
    choice = option("choice", ("on", "off"))
    assert wrong_text(choice, "on") is None
    code, message = wrong_text(choice, "of") or ("", "")
    assert code == "wrong-choice" and "did you mean 'off'" in message
    assert wrong_text(choice, "3") is not None
    assert wrong_text(option("choice", ("auto", "all"), numbers=True), "3") is None


def test_many_words_are_not_all_listed() -> None:
    message = (wrong_text(option("choice", tuple(f"word{i}" for i in range(20))), "x") or ("", ""))[1]
    assert "word11, … (20 words)" in message and "word12" not in message


@pytest.mark.parametrize(
    ("kind", "nargs", "value", "right"),
    [
        ("switch", None, True, True), ("switch", None, "true", False), ("switch", None, None, False),
        ("int", None, 3, True), ("int", None, "3", True), ("int", None, 3.5, False), ("int", None, True, False), ("int", None, None, False),
        ("bool", None, False, True),
        ("int", None, {"a": 1}, False), ("json", None, {"a": 1}, True), ("json_or_string", None, {"a": 1}, True),
        ("int", None, [1], False), ("json", None, [1], True), ("int", "+", [1, 2], True), ("int", "+", [1, "x"], False),
        ("json", None, "{", False), ("json", None, 3, True),
    ],
)  # fmt: skip
def test_yaml(kind: str, nargs: str | None, value: object, right: bool) -> None:
    assert (wrong_value(option(kind, nargs=nargs), value) is None) is right


def test_old_words() -> None:
    renamed = Option("--x", ("--x",), "choice", old_words={"qwen25": "qwen"})
    assert old_word(renamed, "qwen25") == "qwen"
    assert old_word(renamed, "qwen") is None and old_word(renamed, 3) is None

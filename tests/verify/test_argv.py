"""Words of a command line against a small catalogue: which findings each gives."""

from __future__ import annotations

from typing import Any

import pytest

from generator.errors import Place
from generator.verify.argv import check_argv, find
from generator.verify.catalogue import Catalogue, Option
from generator.verify.data import Text
from generator.verify.semantics import check_together, given_options

OPTIONS = (
    Option("--model", ("--model", "-m"), "string"),
    Option("--port", ("--port",), "int"),
    Option("--eager", ("--eager", "--no-eager"), "switch", off=("--no-eager",)),
    Option("--lora", ("--lora",), "string", nargs="*", repeatable=True),
    Option("--limit", ("--limit",), "int", nargs=2),
    Option("--extra", ("--extra",), "json"),
    Option("--parser", ("--parser",), "string", needs=("--auto",), old_words={"old": "new"}),
    Option("--auto", ("--auto",), "switch"),
    Option("--least", ("--least",), "int"),
    Option("--slow-start", ("--slow-start",), "switch", deprecated=True, use="--eager"),
)
TAKEN = {name: option for option in OPTIONS for name in option.names}
GONE = {"--gone": Option("--gone", ("--gone",), "int", until="2", use="--port")}
LATER = {"--new": Option("--new", ("--new",), "int", since="9")}
TOGETHER = (
    {"option": "--least", "with": "--port", "is": "below", "because": "it is"},
    {"option": "--model", "with": "--parser", "values": ["a"], "forbids": ["b"], "because": "they clash"},
)


def known(**syntax: Any) -> Catalogue:
    return Catalogue("engine", "3", "3", syntax, {"together": TOGETHER}, TAKEN, GONE, LATER)


def codes(line: str, positionals: int = 0, **syntax: Any) -> list[str]:
    words = [Text(word, Place("serve.sh", 1, i), "$" not in word) for i, word in enumerate(line.split(), 1)]
    return [found.code for found in check_argv(words, known(**syntax), positionals)]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("", []),
        ("--model x --port 80 --eager", []),
        ("-m x", []),
        ("--port -1", []),  # a number is no option
        ("--lora a b c --port 80", []),
        ("--lora", []),
        ("--lora a --lora b", []),
        ("--limit 1 2", []),
        ("--limit 1 x", ["wrong-type"]),
        ("--limit 1 2 3", ["stray-word"]),
        ("--port", ["needs-value"]),
        ("--port --eager", ["needs-value"]),
        ("--port x", ["wrong-type"]),
        ("--port $PORT", []),  # what a variable holds is not known
        ("--port 80 --port 81", ["repeated-flag"]),
        ("--eager --no-eager", ["repeated-flag"]),
        ("--eager yes", ["stray-word"]),
        ("$MORE", []),
        ("--unheard x --port 80", ["unknown-flag"]),  # its value is not a stray word, too
        ("--gone 1", ["removed-flag"]),
        ("--new 1", ["future-flag"]),
        ("--slow_start", ["misspelt-flag", "deprecated-flag"]),
        ("--slow-start", ["deprecated-flag"]),
        ("--parser x", ["missing-companion"]),
        ("--parser old --auto", ["deprecated-word"]),
        ("--port=80", ["equals-form"]),
        ("--mod x", ["unknown-flag"]),
    ],
)
def test_findings(line: str, expected: list[str]) -> None:
    assert codes(line) == expected


@pytest.mark.parametrize(
    ("line", "syntax", "expected"),
    [
        ("--port=80", {"equals": True}, []),
        ("--port=x", {"equals": True}, ["wrong-type"]),
        ("--eager=1", {"equals": True}, ["no-value"]),
        ("--model=x", {"equals": True, "equals_ignored": ["--model"]}, ["equals-form"]),
        ("--mod x", {"abbreviations": True}, ["abbreviated-flag"]),
        ("--slow_start", {"underscores": "accepted"}, ["misspelt-flag", "deprecated-flag"]),
        ("--extra.key 1", {"dotted": True}, []),
        ("--port.key 1", {"dotted": True}, ["unknown-flag"]),
        ("--model c --parser x", {"config": {"flag": "--model"}}, []),  # the companion may be in the file
    ],
)
def test_the_engine_s_syntax(line: str, syntax: dict[str, Any], expected: list[str]) -> None:
    assert codes(line, **syntax) == expected


@pytest.mark.parametrize(("line", "expected"), [("one", []), ("one two", ["stray-word"])])
def test_positionals(line: str, expected: list[str]) -> None:
    assert codes(line, positionals=1) == expected


@pytest.mark.parametrize(
    ("name", "syntax", "use"),
    [("--gone", {}, "--port"), ("--slow_start", {}, "--slow-start"), ("--mod", {"abbreviations": True}, "--model"), ("--unheard", {}, None)],
)
def test_what_to_write_instead(name: str, syntax: dict[str, Any], use: str | None) -> None:
    problem = find(name, known(**syntax))[1]
    assert problem is not None and problem.use == use


@pytest.mark.parametrize(("underscores", "severity"), [("accepted", "warning"), ("same", "warning"), (None, "error")])
def test_underscores_are_as_bad_as_the_engine_says(underscores: str | None, severity: str) -> None:
    problem = find("--slow_start", known(underscores=underscores))[1]
    assert problem is not None and problem.severity == severity


@pytest.mark.parametrize(
    ("line", "count"),
    [
        ("--least 1 --port 2", 0),
        ("--least 2 --port 2", 1),
        ("--least 3 --port 2", 1),
        ("--least x --port 2", 0),
        ("--least 3", 0),
        ("--least=3 --port=2", 1),
        ("--model a --parser b", 1),
        ("--model a --parser c", 0),
        ("-m a --parser b", 1),
    ],
)
def test_values_that_cannot_stand_together(line: str, count: int) -> None:
    words = [Text(word, Place("serve.sh", 1, i)) for i, word in enumerate(line.split(), 1)]
    assert [found.code for found in check_together(given_options(words, {}, known()), known())] == ["not-together"] * count

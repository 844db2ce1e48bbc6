"""Public reports of people who deploy models, as cases: what they asked, what must come out, and where it was reported.

Each folder holds a `case.yaml` (id, about, source, kinds, steps) and its files. A step runs gen-deploy in a copy of the folder and says what must
hold: the exit code, paths into the JSON on stdout (names by dots, `[]` any element, `[n]` the n-th), words on stdout and stderr, and files.
`not-yet.yaml` lists by kind the cases that do not come out right yet: one of them that does fails its test, so that the list shrinks.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from generator.cli.main import main

HERE = Path(__file__).parent
CASES = sorted(path.parent for path in HERE.glob("*/case.yaml"))
NOT_YET = {name for names in yaml.safe_load((HERE / "not-yet.yaml").read_text(encoding="utf-8")).values() for name in names}


@pytest.mark.parametrize("folder", CASES, ids=lambda folder: folder.name)
def test_case(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    work = tmp_path / "case"
    shutil.copytree(folder, work, ignore=shutil.ignore_patterns("case.yaml"))
    monkeypatch.chdir(work)
    case = yaml.safe_load((folder / "case.yaml").read_text(encoding="utf-8"))
    known(case, "id", "about", "source", "kinds", "steps")
    short = [f"{step['run']}: {problem}" for step in case["steps"] for problem in shortcomings(step, work, capsys)]
    if folder.name in NOT_YET:
        assert short, "this case comes out right: take it off not-yet.yaml"
        pytest.skip(short[0])
    assert not short, case["about"]


def test_the_list_names_cases() -> None:
    assert {folder.name for folder in CASES} >= NOT_YET


def known(entry: dict[str, Any], *keys: str) -> None:
    """A mistyped test would never be judged."""
    assert set(entry) <= set(keys), entry


def shortcomings(step: dict[str, Any], work: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[str]:
    """How one step falls short."""
    known(step, "run", "exit", "json", "stdout", "stderr", "files")
    code, result = main(shlex.split(step["run"])), capsys.readouterr()
    allowed = step.get("exit", 0)
    if code not in (allowed if isinstance(allowed, list) else [allowed]):
        yield f"exit {code}, not {allowed}: {result.err[:200]}"
    if "json" in step:
        try:
            data = json.loads(result.out)
        except ValueError:
            yield "stdout is not JSON"
            return
        for path, test in step["json"].items():
            values = found(data, path)
            if not holds(values, test):
                yield f"{path} is {values[:4]}, not {test}"
    for name, text in (("stdout", result.out), ("stderr", result.err)):
        yield from (f"{name} {problem}" for problem in words(text, step.get(name, {})))
    for pattern, test in step.get("files", {}).items():
        files = [path for path in work.glob(pattern) if path.is_file()]
        if test.get("absent"):
            yield from (f"{path} is there" for path in files)
        elif not files:
            yield f"no file {pattern}"
        else:
            yield from (f"{path.name} {problem}" for path in files for problem in words(path.read_text(errors="replace"), test))


def words(text: str, test: dict[str, Any]) -> Iterator[str]:
    """Words and patterns that a text must have or lack."""
    known(test, "has", "lacks", "matches", "absent")
    yield from (f"lacks {word!r}" for word in test.get("has", []) if word not in text)
    yield from (f"has {word!r}" for word in test.get("lacks", []) if word in text)
    yield from (f"does not match {pattern!r}" for pattern in test.get("matches", []) if not re.search(pattern, text))


def found(data: object, path: str) -> list[Any]:
    """All values at a path."""
    values = [data]
    for name, index in re.findall(r"([^.\[\]]+)|\[(\d*)\]", path):
        following: list[Any] = []
        for value in values:
            if name:
                following += [value[name]] if isinstance(value, dict) and name in value else []
            elif index:
                following += [value[int(index)]] if isinstance(value, list) and int(index) < len(value) else []
            else:
                following += value if isinstance(value, list) else list(value.values()) if isinstance(value, dict) else []
        values = following
    return values


def holds(values: list[Any], test: object) -> bool:
    """Whether the values at a path pass a test: a plain value, or a mapping of tests that all must hold."""
    if not isinstance(test, dict):
        return bool(values) and all(value == test for value in values)
    known(test, "in", "not_in", "is", "has", "lacks", "near", "percent", "absolute", "min", "max", "matches", "exists")
    return all(one(values, word, want, test) for word, want in test.items() if word not in ("percent", "absolute"))


def one(values: list[Any], word: str, want: Any, test: dict[str, Any]) -> bool:
    """One test of the values at a path."""
    numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    real = bool(values) and len(numbers) == len(values)
    match word:
        case "in":
            return bool(values) and all(value in want for value in values)
        case "not_in":
            return all(value not in want for value in values)
        case "is":
            return bool(values) and all(value == want for value in values)
        case "has":
            return any(contains(value, want) for value in values)
        case "lacks":
            return not any(contains(value, want) for value in values)
        case "near":
            room = abs(want) * test.get("percent", 0) / 100 + test.get("absolute", 0)
            return real and all(abs(value - want) <= room for value in numbers)
        case "min":
            return real and all(value >= want for value in numbers)
        case "max":
            return real and all(value <= want for value in numbers)
        case "matches":
            return any(isinstance(value, str) and re.search(want, value) for value in values)
    return bool(values) is bool(want)


def contains(value: object, want: object) -> bool:
    """Whether a value is a word, or holds it."""
    if isinstance(value, str):
        return isinstance(want, str) and want in value
    return bool(want == value) or (isinstance(value, list | dict) and want in value)

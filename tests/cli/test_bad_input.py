"""Specs and model files that are wrong: exit code and messages as in `bad/*.yaml`, and not one file touched.

A case says what stands in the spec (`spec`, `hex`, or built here because it is long), which files, links and pipes lie
beside it, the exit code of the main job (and of `plan` where it differs), and how each line of stderr begins.
"""

from __future__ import annotations

import os
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from command import run, tree

CASES: list[dict[str, Any]] = [
    case for path in sorted(Path(__file__).with_name("bad").glob("*.yaml")) for case in yaml.safe_load(path.read_text(encoding="utf-8"))
]
PLAIN = "model: Qwen/Qwen2.5-7B-Instruct\nhardware: {gpu: A100-80GB}\n"
OWN = "model: {id: me/mine, config: config.json}\nhardware: {gpu: A100-80GB}\n"
LEVELS = "abcdefghi"
BUILT: dict[str, tuple[str, dict[str, str]]] = {
    "ten-to-the-400": (PLAIN + f"workload: {{max_context: 1{'0' * 400}}}\n", {}),
    "alias-bomb": (
        "a: &a [x,x,x,x,x,x,x,x,x,x]\n"
        + "".join(f"{name}: &{name} [{','.join(['*' + inner] * 10)}]\n" for inner, name in pairwise(LEVELS)),
        {},
    ),
    "deep": ("model: " + "[" * 100 + "]" * 100 + "\n", {}),
    "very-deep": ("model: " + "{a: " * 20000 + "}" * 20000 + "\n", {}),
    "long-words": (PLAIN + f"workload: {{profile: {'p' * 5000}}}\npin: {{engine: {'e' * 5000}}}\n{'k' * 900}: 1\n", {}),
    "config-path-too-long": (OWN.replace("config.json", "x" * 4000), {}),
    "config-name-too-long": (OWN.replace("config.json", "x" * 300), {}),
    "config-digits": (OWN, {"config.json": '{"hidden_size": 1' + "0" * 5000 + "}"}),
    "config-deep": (OWN, {"config.json": '{"a":' * 3000 + "1" + "}" * 3000}),
}
LINE = re.compile(r"^[^\n]+:\d+:\d+: error\[[a-z0-9-]+\]: .")


def test_ids_are_unique_and_every_built_case_is_used() -> None:
    ids = [case["id"] for case in CASES]
    assert len(ids) == len(set(ids)) > 100
    assert {case["id"] for case in CASES if case.get("built")} == set(BUILT)


def lay(case: dict[str, Any], folder: Path) -> None:
    """The spec of a case and what lies beside it."""
    text, files = BUILT[case["id"]] if case.get("built") else (case.get("spec", ""), case.get("files") or {})
    (folder / "spec.yaml").write_bytes(bytes.fromhex(case["hex"]) if "hex" in case else text.encode())
    for name, content in files.items():
        (folder / name).write_bytes(bytes.fromhex(content["hex"]) if isinstance(content, dict) else content.encode())
    for name, target in (case.get("links") or {}).items():
        (folder / name).symlink_to(target)
    for name in case.get("fifos") or ():
        os.mkfifo(folder / name)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_bad_input(case: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lay(case, tmp_path)
    monkeypatch.chdir(tmp_path)
    before = tree(tmp_path)
    plan, done = run("plan", "spec.yaml"), run("spec.yaml", "-o", "out")
    assert (plan.code, done.code) == (case.get("plan_code", case["code"]), case["code"])
    assert done.out == ""
    lines = done.err.splitlines()
    if case["code"] == 1:
        assert len(lines) == len(case["says"])
        assert all(LINE.match(line) for line in lines)
    for line, wanted in zip(lines, case["says"], strict=False):
        assert line[: len(wanted)] == wanted
    if plan.code == done.code:
        assert plan.err == done.err
        assert plan.out == ""
    assert all(len(line) < 8000 and line.isprintable() for line in lines)
    assert tree(tmp_path) == before

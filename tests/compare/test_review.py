"""What a review must not miss: rows that hardly any spec is about, one cause behind many changes, and the sums."""

from __future__ import annotations

import contextlib
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from repository import ENVIRONMENT, repository, rules_tree, spec

from generator.cli.main import main
from generator.decide.decision import decide
from generator.report.diff import LISTED, MOST_LINES
from generator.rulebook.book import load
from generator.spec.words import grid

PROFILES = ("chat", "rag", "batch", "agent", "dev")
PROJECT = "specs: [specs/*.yaml]\nout: deploy\n"
SPECS = {
    "specs/code.yaml": spec("L4-24GB", profile="code"),
    **{f"specs/{profile}-{gpu.lower()}.yaml": spec(gpu, profile=profile) for profile in PROFILES for gpu in ("H100-80GB", "A100-80GB")},
    "specs/slow.yaml": spec("L4-24GB", gpus=2, profile="chat", concurrency=4, tpot_ms=30),
}  # fmt: skip
BAN = """\
  - id: no-fp8-for-code
    when: {profile: code, labels.environment: production, method: [fp8, fp8-block]}
    because: our code must be exact
    source: judgement-headroom
"""
SWAPPED = "order: {engine: [sglang, vllm, tensorrt-llm, llama.cpp, ollama, tgi]}"
PRICES = "dated: 2026-11-01\ncurrency: EUR\nper_gpu_hour: {H100-80GB: 2, L4-24GB: 0.5}\n"


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with the shipped rules as its own, and specs of which one has the profile code."""
    rules_tree(tmp_path)
    label = "names:\n  labels.environment: {stage: spec, type: word, values: [staging, production], origin: spec, meaning: where it runs}\n"
    vocabulary = (tmp_path / "rules/vocabulary.yaml").read_text(encoding="utf-8").replace("names:\n", label, 1)
    repository(tmp_path, {"gen-deploy.yaml": PROJECT, "rules/vocabulary.yaml": vocabulary, "prices.yaml": PRICES, **SPECS})
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def diff(*words: str) -> str:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(["diff", "main", *words])
    assert (code, err.getvalue()) == (0, "")
    return out.getvalue()


def edit(folder: Path, name: str, old: str, new: str) -> None:
    path = folder / "rules/default" / name
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1
    path.write_text(text.replace(old, new), encoding="utf-8")


def test_a_row_says_how_many_specs_it_is_about(tree: Path) -> None:
    """A ban that no spec meets: the specs of its profile, the label that none has; the grid has both."""
    with (tree / "rules/default/reject.yaml").open("a", encoding="utf-8") as file:
        file.write(BAN)
    text = diff("--grid")
    assert text.startswith(f"No decision changes. {len(SPECS)} specs decide as before.")
    (line,) = [line for line in text.splitlines() if line.startswith("  reject no-fp8-for-code added")]
    assert "affects no decision: 0 of 1 specs with profile code changed; no spec has labels.environment; in the grid " in line
    asked = re.search(r"in the grid (\d+) of (\d+) deployments with profile code and labels.environment production changed$", line)
    assert asked is not None
    assert 1 <= int(asked[1]) < int(asked[2])
    assert re.search(rf"(?m)^grid: {asked[1]} of \d+ deployments decide differently", text), "told apart from the project's own"
    comment = diff("--grid", "--format", "markdown")
    assert f"**Grid**: {asked[1]} of " in comment
    assert len(comment.splitlines()) <= MOST_LINES
    data: dict[str, Any] = json.loads(diff("--grid", "--format", "json"))
    assert (data["changed"], data["grid"]["changed"]) == (0, int(asked[1]))
    assert data["edits"][0]["coverage"]["specs"] == ["code"]
    assert data["edits"][0]["coverage"]["unset"] == ["labels.environment"]


def test_one_cause_is_told_once(tree: Path) -> None:
    edit(tree, "prefer.yaml", "order: {engine: [vllm, sglang, tensorrt-llm, llama.cpp, ollama, tgi]}", SWAPPED)
    data = json.loads(diff("--format", "json"))
    (group,) = data["groups"]
    assert len(group["specs"]) == data["changed"] > LISTED
    assert group["edits"] == ["tables/prefer/engine-order"]
    text = diff()
    assert text.count("engine-order prefers") == 1
    assert f"{data['changed']} specs with one cause, by prefer engine-order order.engine [vllm, sglang, " in text
    assert all(name in diff("-v") for name in group["specs"])
    comment = diff("--format", "markdown")
    assert len(comment.partition("<details>")[0].splitlines()) <= MOST_LINES
    assert all(f"`{name}`" in comment.partition("<details>")[2] for name in group["specs"])


def test_the_first_line_is_the_sum(tree: Path) -> None:
    """A row against FP8 and 8-bit integers: other losses, other GPUs, an objective that is newly missed."""
    ban = "  - id: no-eight-bits\n    when: {method.bits: 8}\n    because: we want none\n    source: judgement-headroom\n"
    with (tree / "rules/default/reject.yaml").open("a", encoding="utf-8") as file:
        file.write(ban)
    first = diff("--prices", "prices.yaml").splitlines()[0]
    data = json.loads(diff("--prices", "prices.yaml", "--format", "json"))
    totals = data["totals"]
    assert f"GPUs {totals['gpus'][0]} → {totals['gpus'][1]}; cost " in first
    assert " EUR an hour, of 7 specs with a price; worst quality loss " in first
    book = load()
    for side, rules in enumerate((book, load(str(tree / "rules/default")))):
        decided = {name: decide(one, rules).plan.choice for name, one in _specs(tree).items()}
        assert totals["gpus"][side] == sum(choice.gpus for choice in decided.values() if choice)
        assert totals["loss"][side] == max(choice.quality.value for choice in decided.values() if choice and choice.quality.value is not None)


def _specs(tree: Path) -> dict[str, Any]:
    from generator.spec.deployment import read_spec

    return {path.stem: read_spec(path) for path in sorted((tree / "specs").glob("*.yaml"))}


def test_the_grid_needs_no_project(tree: Path) -> None:
    (tree / "gen-deploy.yaml").unlink()
    edit(tree, "prefer.yaml", "order: {engine: [vllm, sglang, tensorrt-llm, llama.cpp, ollama, tgi]}", SWAPPED)
    text = diff("--grid")
    assert text.startswith("There are no specs to compare.\n")
    assert re.search(r"(?m)^grid: \d+ of \d+ deployments decide differently", text)


def test_the_grid_reaches_each_kind() -> None:
    """Models that work somewhere, machines that hold some model, each profile and goal; engines and methods of several kinds."""
    book = load()
    specs = grid(book)
    outcomes = {name: decide(one, book) for name, one in specs.items()}
    works = [outcome.plan for outcome in outcomes.values() if outcome.plan.choice]
    assert 200 <= len(specs) <= 400
    assert {plan.spec["model"]["id"] for plan in works} == {one.model.id for one in specs.values()}
    assert {plan.spec["hardware"]["gpu"] for plan in works} == {one.hardware.gpu for one in specs.values()}
    assert {plan.spec["workload"]["profile"] for plan in works} == {"chat", "rag", "batch", "agent", "code", "dev"}
    assert {plan.spec["workload"]["goal"] for plan in works} == {"balanced", "quality", "throughput", "latency", "cost"}
    assert len({plan.choice.engine for plan in works if plan.choice}) >= 4
    assert len({book.section("methods")[plan.choice.method]["family"] for plan in works if plan.choice}) >= 5
    assert len(works) < len(specs), "somewhere nothing fits"

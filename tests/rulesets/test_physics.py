"""`rules/physics/`: constants of formulas that every rule set has, whether it extends a shipped one or not, and that any may replace."""

from __future__ import annotations

import re
import shutil
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

from generator.calibrate.measure import Measured, overlay
from generator.cli.lint import lint
from generator.decide.decision import Outcome, decide
from generator.readers.document import parse_yaml
from generator.rulebook.book import RuleBook, load
from generator.rulebook.overlay import digest
from generator.rulebook.rulesets import gather
from generator.spec.deployment import from_document

ROOT = Path(__file__).resolve().parents[2]
SPECS: list[dict[str, Any]] = [
    {"model": "Qwen/Qwen2.5-7B-Instruct", "hardware": {"gpu": "L4-24GB"}},
    {"model": "meta-llama/Llama-3.1-70B-Instruct", "hardware": {"gpu": "H100-80GB", "gpus_per_node": 4}, "workload": {"profile": "rag"}},
    {"model": "Qwen/Qwen3-8B", "hardware": {"gpu": "RTX-4090-24GB"}, "pin": {"engine": "llama.cpp"}},
    {"model": "Qwen/Qwen3-14B", "hardware": {"gpu": "A100-80GB"}, "pin": {"engine": "sglang"}, "workload": {"ttft_ms": 500}},
]
TODAY = date(2026, 12, 1)
CONTEXT = "llama_cpp.context_mib"
OWN = f"thresholds:\n  {CONTEXT}: {{meaning: x, unit: MiB, value: 999, source: handbook, checked: 2026-12-01}}\n"


def planned(spec: dict[str, Any], book: RuleBook) -> Outcome:
    found, problems = from_document(parse_yaml(yaml.safe_dump(spec), "spec.yaml"), Path("spec.yaml"))
    assert found is not None, problems
    return decide(found, book)


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        folder.joinpath(name).parent.mkdir(parents=True, exist_ok=True)
        folder.joinpath(name).write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A tree of one's own without physics."""
    shutil.copytree(ROOT / "rules", tmp_path / "rules", ignore=shutil.ignore_patterns("schemas", "physics", "cases"))
    return tmp_path / "rules"


def test_a_set_that_extends_nothing_plans_as_the_set_that_it_copies(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "rules/default", tmp_path / "ours", ignore=shutil.ignore_patterns("cases"))
    file = tmp_path / "ours/ruleset.yaml"
    file.write_text(file.read_text(encoding="utf-8").replace("name: default", "name: ours"), encoding="utf-8")
    assert "extends" not in file.read_text(encoding="utf-8")
    ours, default = load(str(file.parent)), load("default")
    assert ours.name == "ours"
    assert ours.thresholds.keys() == default.thresholds.keys()
    for spec in SPECS:
        assert planned(spec, ours).plan.choice == planned(spec, default).plan.choice
    assert lint(str(file.parent), TODAY, no_cases=True) == []


def test_no_shipped_set_says_a_constant_again() -> None:
    physics = dict(gather(ROOT / "rules/default").layers)["physics"]
    for name in ("default", "handbook"):
        gathered = gather(ROOT / "rules" / name)
        found = {key: steps for key, steps in gathered.steps.items() if steps[0].place.path in physics}
        assert found
        assert {key for key, steps in found.items() if len(steps) > 1} == set()


def test_any_set_may_replace_a_constant(tmp_path: Path) -> None:
    below = load("default").thresholds[CONTEXT]
    own = OWN.replace("{meaning", f"{{replaces: {digest(below)}, meaning")
    folder = write(tmp_path / "ours", {"ruleset.yaml": "ruleset: {name: ours, extends: default}\n", "numbers.yaml": own})
    assert load(str(folder)).number(CONTEXT) == 999
    assert [(step.layer, step.action) for step in gather(folder).steps["thresholds", CONTEXT]] == [("physics", "added"), ("ours", "replaced")]
    assert lint(str(folder), TODAY, no_cases=True) == []
    base = planned(SPECS[2], load("default")).plan.choice
    changed = planned(SPECS[2], load(str(folder))).plan.choice
    assert base is not None
    assert changed is not None
    assert changed.memory != base.memory


@pytest.mark.parametrize("base", ["default", "handbook"])
def test_a_calibrated_overlay_lies_over_both_sets(base: str, tmp_path: Path) -> None:
    measured = [Measured("vllm.activation_base_gib", 0.7, 0.05, "GiB", "activations", "x"), Measured(CONTEXT, 500, 456, "MiB", "runtime", "x")]
    files = overlay(load(base), base, "0.19.0", measured, [("start.log", "2026-11-24")])
    book = load(str(write(tmp_path / "mine", files)))
    assert book.number("vllm.activation_base_gib", "0.19.0") == 0.7
    assert book.number("vllm.activation_base_gib", "0.11.0") == load(base).number("vllm.activation_base_gib", "0.11.0")


def test_the_handbook_estimates_no_speed_and_adds_its_own_share() -> None:
    book = load("handbook")
    assert book.number("thumb.overhead") == 0.2
    assert "headroom.floor" not in book.thresholds
    choice = planned(SPECS[0], book).plan.choice
    assert choice is not None
    assert choice.performance is not None
    assert choice.performance.unknown == "this rule set has no speed model"


def test_a_tree_without_physics_has_the_shipped_ones(tree: Path) -> None:
    gathered = gather(tree / "default")
    assert gathered.problems == []
    assert load(str(tree / "default")).number(CONTEXT) == load("default").number(CONTEXT)
    assert planned(SPECS[1], load(str(tree / "default"))).plan.choice == planned(SPECS[1], load("default")).plan.choice


def test_a_tree_without_physics_keeps_the_numbers_that_it_brings(tree: Path) -> None:
    """As the trees of earlier versions do."""
    write(tree / "default", {"thresholds/sizing.yaml": OWN})
    assert load(str(tree / "default")).number(CONTEXT) == 999


def test_sources_of_a_tree_without_physics_are_its_own_first(tree: Path) -> None:
    """What it does not cite may be gone from its sources; the shipped constants bring theirs."""
    for file in (tree / "sources").glob("*.yaml"):
        text = file.read_text(encoding="utf-8").replace("lcpp-vocab-files:", "another-source:")
        file.write_text(re.sub(r"title: (\"?)", r"title: \1Ours ", text), encoding="utf-8")
    gathered = gather(tree / "default")
    assert gathered.problems == []
    assert "another-source" in gathered.merged["sources"]
    titles = {name: str(entry["title"]) for name, entry in gathered.merged["sources"].items()}
    assert [name for name, title in titles.items() if not title.startswith("Ours ") and name != "lcpp-vocab-files"] == []


def test_a_tree_with_physics_has_no_others(tree: Path) -> None:
    read = "".join(  # generations of GPUs name these
        f"  {name}: {{meaning: x, unit: fraction, value: 1, source: handbook, checked: 2026-12-01}}\n"
        for name in ("speed.ada", "speed.blackwell_host", "speed.cdna", "speculative.branches")
    )
    write(tree, {"physics/own.yaml": OWN + read})
    book = load(str(tree / "default"))
    assert book.number(CONTEXT) == 999
    assert "vllm.reserve_gib" not in book.thresholds

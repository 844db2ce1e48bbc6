"""The handbook rule set reproduces the handbook's own answers, row by row."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from plans import ROOT, plan

DATA = ROOT / "tests/data/handbook"
DECISIONS: list[dict[str, Any]] = yaml.safe_load((DATA / "decisions.yaml").read_text())["decisions"]
FRAMEWORKS: list[dict[str, Any]] = yaml.safe_load((DATA / "frameworks.yaml").read_text())["frameworks"]
WORDS = {"fp16": "fp16", "int8": "int8", "awq": "int4_awq", "gguf-q3_k_m": "gguf"}


@pytest.mark.parametrize("row", DECISIONS, ids=lambda r: r["id"])
def test_decision(row: dict[str, Any]) -> None:
    outcome = plan({"model": row["model"], "hardware": {"gpu": row["gpu"]}}, "handbook")
    choice = outcome.plan.choice
    assert choice is not None
    assert (WORDS[choice.method], choice.bits) == (row["method"], row["bits"])
    assert choice.thumb["tokens_per_second"] == row["tokens_per_second"]
    assert choice.thumb["memory_gb"] == row["min_gpu_memory_gb"]
    assert choice.thumb["memory_ratio"] == row["memory_ratio"]
    if row["estimated_memory_gb"] is not None:
        assert choice.memory is not None
        assert choice.memory.weights == pytest.approx(row["estimated_memory_gb"] * 1e9, abs=1)


@pytest.mark.parametrize("row", FRAMEWORKS, ids=lambda r: r["id"])
def test_framework(row: dict[str, Any]) -> None:
    spec = {
        "model": {"id": "some/model", "parameters": row["parameters_billion"] * 1e9},
        "hardware": {"gpu": "A100-80GB", "gpus_per_node": row["gpus"]},
        "workload": {"goal": row["goal"]},
    }
    outcome = plan(spec, "handbook")
    choice = outcome.plan.choice
    assert choice is not None
    assert choice.engine in row["engines"]
    assert (choice.tensor_parallel > 1) is row["tensor_parallel"]
    assert {one.candidate.engine for one in outcome.ranked} == set(row["engines"])


def test_all_rows_are_there() -> None:
    assert (len(DECISIONS), len(FRAMEWORKS)) == (42, 12)

"""The patterns of start-up logs: their form, and that the terms of figures are known."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from generator.engines import ENGINES
from generator.engines.start_log import log_lines

ROOT = Path(__file__).resolve().parents[2]
SAID = yaml.safe_load((ROOT / "rules/start_logs.yaml").read_text(encoding="utf-8"))
TERMS = {"weights", "activations", "cuda_graphs", "runtime", "kv_cache", "kv_tokens", "capacity", "consumed"}
OWN = {"expected_graphs", "full", "windows", "conv", "ssm", "drafted", "lent", "pool"}
"""Terms that the engine's reader turns into those of a plan."""


def test_the_patterns_have_the_form_that_the_schema_says() -> None:
    schema = json.loads((ROOT / "rules/schemas/start_logs.json").read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    assert [error.message for error in Draft202012Validator(schema).iter_errors(SAID)] == []
    assert set(SAID) <= set(ENGINES)


@pytest.mark.parametrize("engine", SAID)
def test_every_pattern_compiles_and_has_what_is_read_of_it(engine: str) -> None:
    log = log_lines(engine)
    assert {term for term, _, _ in log.figures} <= TERMS | OWN
    assert all(pattern.groups in (1, 2) for _, _, pattern in log.figures)
    assert all(pattern.groups >= 1 for one in log.lists.values() for pattern in one.values())
    assert log.own
    assert not any("<" in word for word in SAID[engine].get("short", {}))

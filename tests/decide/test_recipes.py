"""What models need beside their config.json: the rows name what there is, they are counted, and the recipes' flags come out.

The bound of the last test is what `scripts/recipes.py` measured when the rows were written (64.3 %)."""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from generator.decide.decision import decide
from generator.facts.engine import resolve_engine
from generator.plan import Candidate
from generator.readers.document import Document
from generator.rulebook.book import RuleBook, load
from generator.spec.deployment import from_document

ROOT = Path(__file__).resolve().parents[2]


@cache
def book() -> RuleBook:
    return load("default")


def plan_of(**spec: Any) -> Candidate:
    read, problems = from_document(Document("spec.yaml", {"name": "one", **spec}, {}, {}), Path("spec.yaml"))
    assert read is not None, problems
    choice = decide(read, book()).plan.choice
    assert choice is not None
    return choice


ROWS = [(engine, row) for engine, facts in book().section("engines").items() for row in facts.get("for_models") or ()]


@pytest.mark.parametrize(("engine", "row"), ROWS, ids=lambda value: "-".join(value["set"]) if isinstance(value, dict) else value)
def test_a_row_names_models_names_and_settings_that_there_are(engine: str, row: dict[str, Any]) -> None:
    models = book().section("models")
    configs: list[dict[str, Any]] = [dict(entry.get("config") or {}) for entry in models.values()]
    words = {*models, *book().section("families"), *(word for config in configs for word in config.get("architectures") or ())}
    assert set(row.get("models") or ()) <= words
    assert set(row.get("when") or ()) <= set(book().names)
    version = row.get("since") or book().section("engines")[engine]["default_version"]
    for setting, value in row["set"].items():
        facts = book().section("engines")[engine]["flags"][setting]
        assert any("choices" not in entry or value in entry["choices"] for entry in facts), setting
        assert resolve_engine(engine, version, book()).has(setting), f"{setting} before {version}"


def test_there_are_rows() -> None:
    assert len(ROWS) >= 15


def test_an_encoder_of_its_own_on_each_gpu_is_counted() -> None:
    hardware = {"gpu": "H200-141GB", "gpus_per_node": 8}
    pin = {"engine": "vllm", "tensor_parallel": 8, "expert_parallel": True, "quantization": "bf16"}
    now = plan_of(model="Qwen/Qwen3-VL-235B-A22B-Instruct", hardware=hardware, pin=pin)
    before = plan_of(model="Qwen/Qwen3-VL-235B-A22B-Instruct", hardware=hardware, pin={**pin, "engine_version": "0.15.1"})
    assert now.settings["encoder_parallel"] == "data" and "encoder_parallel" not in before.settings
    assert now.memory is not None and before.memory is not None
    tower = 2 * 0.576e9  # its vision config: 27 layers, 1152 wide, and four mergers
    assert now.memory.weights - before.memory.weights == pytest.approx(tower * 7 / 8, rel=0.05)


def test_an_option_of_a_user_goes_before() -> None:
    hardware = {"gpu": "H200-141GB", "gpus_per_node": 8}
    choice = plan_of(model="deepseek-ai/DeepSeek-V4-Flash", hardware=hardware, pin={"engine": "vllm", "kv_cache_dtype": "auto"})
    assert choice.settings["kv_cache_dtype"] == "auto"
    spread = plan_of(model="deepseek-ai/DeepSeek-R1", hardware=hardware, pin={"engine": "vllm", "expert_parallel": False})
    assert not spread.expert_parallel


def test_an_fp8_cache_of_sparse_latent_attention_keeps_what_is_rotated() -> None:
    pin = {"engine": "vllm", "kv_cache_dtype": "fp8"}
    choice = plan_of(model="deepseek-ai/DeepSeek-V3.2", hardware={"gpu": "H200-141GB", "gpus_per_node": 8}, pin=pin)
    assert choice.kv_cache is not None
    assert choice.kv_cache.bytes_per_token == 61 * (656 + 132)  # each layer: the entry of `fp8_ds_mla`, and the indexer's


@pytest.mark.slow
def test_flags_of_the_recipes_come_out(capsys: pytest.CaptureFixture[str]) -> None:
    spec = importlib.util.spec_from_file_location("recipes", ROOT / "scripts/recipes.py")
    assert spec is not None and spec.loader is not None
    recipes = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(recipes)
    share = recipes.measure(misses=False)
    assert share >= 60, capsys.readouterr().out

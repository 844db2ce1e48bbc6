"""What counts as a change between two plans, one of which an older version of the tool may have written."""

from __future__ import annotations

from generator.compare.model import level, moves

NEW = {"engine": "vllm", "quantization": "awq", "tensor_parallel": 1, "task": "generate", "adapters": {}, "settings": {"max_model_len": 4096}}
OLD = {key: value for key, value in NEW.items() if key not in ("task", "adapters")}


def test_a_key_that_an_older_version_did_not_write_is_no_change() -> None:
    assert moves(OLD, NEW) == []
    assert level({"choice": OLD}, {"choice": NEW}) == "wording"


def test_a_value_that_both_write_and_a_setting_are() -> None:
    assert [move.key for move in moves(OLD, {**NEW, "tensor_parallel": 2})] == ["tensor_parallel"]
    assert [move.key for move in moves(NEW, {**NEW, "task": "embed"})] == ["task"]
    assert [move.key for move in moves(OLD, {**NEW, "settings": {"max_model_len": 8192}})] == ["settings.max_model_len"]
    assert level({"choice": OLD}, {"choice": {**NEW, "tensor_parallel": 2}}) == "gpus"

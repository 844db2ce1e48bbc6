"""Launch files as people write them: what is right gets no finding, what is wrong gets its own, with what to write instead."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from generator.rulebook.book import RuleBook, load
from generator.verify.files import Asked, check_text

CASES: list[dict[str, Any]] = yaml.safe_load(Path(__file__).with_name("words.yaml").read_text(encoding="utf-8"))


@functools.cache
def book() -> RuleBook:
    """The default rule set."""
    return load()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["about"].replace(" ", "-"))
def test_what_is_said(case: dict[str, Any]) -> None:
    assert set(case) <= {"about", "name", "version", "text", "says"}
    found = check_text(case.get("name", "serve.sh"), case["text"], book(), Asked(None, case.get("version")))
    assert found.checked
    said = sorted((finding.code, finding.message) for finding in found.findings)
    expected = sorted(word.partition(" ")[::2] for word in case["says"])
    assert [code for code, _ in said] == [code for code, _ in expected]
    for code, word in expected:
        assert any(word in message for other, message in said if other == code), said


@pytest.mark.parametrize(
    ("version", "sure"),
    [("0.33.0", None), ("0.33.0.post1", None), ("0.11.3", "note"), ("0.9.0", "warning"), ("9.0.0", "warning")],
)
def test_how_sure_a_check_of_an_unlisted_version_is(version: str, sure: str | None) -> None:
    found = check_text("serve.sh", "vllm serve m", book(), Asked("vllm", version)).findings
    assert [finding.severity for finding in found] == ([sure] if sure else [])


CONFIG = {
    "model_type": "llama", "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "vocab_size": 100, "max_position_embeddings": 512,
}  # fmt: skip


@pytest.mark.parametrize(("gpus", "codes"), [(2, []), (8, ["heads-do-not-divide"])])
@pytest.mark.parametrize("model", ["./model", "model"])
def test_a_model_that_lies_beside_the_file(tmp_path: Path, model: str, gpus: int, codes: list[str]) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text(json.dumps(CONFIG))
    text = f"vllm serve {model} -tp {gpus} --max-model-len 512"
    assert [found.code for found in check_text(str(tmp_path / "serve.sh"), text, book()).findings] == codes


def test_a_model_that_the_command_hides() -> None:
    text = 'vllm serve "$MODEL" -tp 3'
    (doubt,) = check_text("serve.sh", text, book()).findings
    (sure,) = check_text("serve.sh", text, book(), Asked(model="Qwen/Qwen3-8B-AWQ")).findings
    assert (doubt.severity, sure.severity) == ("warning", "error")


def test_no_file_outside_the_folder_is_read(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text(json.dumps(CONFIG))
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "link").symlink_to(tmp_path / "model")
    for model in ("../model", "link", str(tmp_path / "model")):
        assert not check_text(str(tmp_path / "here" / "serve.sh"), f"vllm serve {model} -tp 8", book()).findings

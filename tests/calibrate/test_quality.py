"""`calibrate --quality`: a measured loss beside the published one, what is refused, and a decision that it changes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from generator.cli.main import main

MODEL = "meta-llama/Llama-3.1-8B-Instruct"
SPEC = f"model: {MODEL}\nhardware: {{gpu: RTX3090-24GB}}\nworkload: {{goal: quality, max_context: 8192, concurrency: 2}}\npin: {{engine: llama.cpp}}\n"


def result(method: str, *rows: dict[str, Any], **more: Any) -> dict[str, Any]:
    tasks = rows or ({"task": "perplexity", "items": 3300, "loss_percent": 6.0, "interval": [5.0, 7.0]},)
    return {"schema_version": 1, "date": "2026-11-30", "model": MODEL, "method": method, "engine": "llama.cpp", "tasks": list(tasks), **more}


def written(folder: Path, *results: dict[str, Any], spec: str = SPEC) -> list[str]:
    (folder / "spec.yaml").write_text(spec, encoding="utf-8")
    words = ["calibrate", "--spec", str(folder / "spec.yaml")]
    for number, one in enumerate(results):
        (folder / f"eval-{number}.json").write_text(json.dumps(one), encoding="utf-8")
        words += ["--quality", str(folder / f"eval-{number}.json")]
    return words


def planned(folder: Path, capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    capsys.readouterr()
    assert main(["plan", str(folder / "spec.yaml"), "--json", *words]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_a_measured_loss_changes_the_decision_of_the_goal_quality(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = written(tmp_path, result("gguf-q8_0"))
    before = planned(tmp_path, capsys)
    assert before["choice"]["quantization"] == "gguf-q8_0"
    assert "measured" not in before["quality"]
    assert main([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["measured"] == {"value": 6.0, "low": 5.0, "high": 7.0}
    assert found["published"]["value"] == before["quality"]["loss_percent"]["value"]
    assert main([*words, "--write", str(tmp_path / "mine")]) == 0
    assert sorted(path.name for path in (tmp_path / "mine").iterdir()) == ["quality.yaml", "ruleset.yaml", "sources.yaml"]
    after = planned(tmp_path, capsys, "--rules", str(tmp_path / "mine"))
    assert after["choice"]["quantization"] != "gguf-q8_0"
    assert {"step": "prefer", "row": "measured-loss"}.items() <= next(row for row in after["trace"] if row["row"] == "measured-loss").items()
    assert main(["lint", "--rules", str(tmp_path / "mine")]) == 0
    (tmp_path / "spec.yaml").write_text(SPEC.replace("llama.cpp}", "llama.cpp, quantization: gguf-q8_0}"), encoding="utf-8")
    pinned = planned(tmp_path, capsys, "--rules", str(tmp_path / "mine"))
    assert pinned["quality"]["measured"] is True
    assert (pinned["quality"]["loss_percent"]["value"], pinned["quality"]["source"]) == (6.0, "measured-quality-2026-11-30-1")
    assert main([str(tmp_path / "spec.yaml"), "-o", str(tmp_path / "out"), "--rules", str(tmp_path / "mine")]) == 0
    page = (tmp_path / "out" / "spec" / "PLAN.md").read_text(encoding="utf-8")
    assert "6.00 % lost against 16 bits (5.00 to 7.00), measured with this model: increase of perplexity" in page


def test_the_limit_of_a_spec_reads_what_was_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    limited = SPEC.replace("goal: quality", "max_quality_loss_percent: 2").replace("llama.cpp}", "llama.cpp, quantization: gguf-q8_0}")
    words = written(tmp_path, result("gguf-q8_0"), spec=limited)
    planned(tmp_path, capsys)
    assert main([*words, "--write", str(tmp_path / "mine")]) == 0
    assert main(["plan", str(tmp_path / "spec.yaml"), "--rules", str(tmp_path / "mine")]) == 4
    assert "measured with this model" in capsys.readouterr().err
    assert main(["explain", str(tmp_path / "spec.yaml"), "--rules", str(tmp_path / "mine"), "--why-not", "llama.cpp/gguf-q8_0"]) in (0, 4)
    assert "measured-quality-2026-11-30-1" in capsys.readouterr().out
    other = limited.replace(MODEL, "Qwen/Qwen2.5-7B-Instruct")
    (tmp_path / "spec.yaml").write_text(other, encoding="utf-8")
    assert "measured" not in planned(tmp_path, capsys, "--rules", str(tmp_path / "mine"))["quality"]


def test_tasks_count_for_what_is_published_by_tasks_and_perplexity_for_gguf(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = (
        {"task": "perplexity", "items": 3300, "loss_percent": 6.0, "interval": [5.0, 7.0]},
        {"task": "gsm8k", "items": 100, "loss_percent": 1.0, "interval": [-3.0, 5.0]},
        {"task": "ifeval", "items": 100, "loss_percent": 3.0, "interval": [0.0, 6.0]},
    )
    assert main([*written(tmp_path, result("awq", *rows), result("gguf-q8_0", *rows)), "--json"]) == 0
    awq, gguf = json.loads(capsys.readouterr().out)
    assert awq["measured"] == {"value": 2.0, "low": -0.5, "high": 4.5}
    assert awq["metric"] == "lost share of the score of gsm8k, ifeval, 200 items"
    assert gguf["measured"]["value"] == 6.0


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "of another model": (result("awq", model="Qwen/Qwen2.5-7B-Instruct"), "other-model"),
    "of an unknown method": (result("q8-0"), "unknown-method"),
    "without a baseline": (result("awq", {"task": "gsm8k", "items": 100, "loss_percent": None, "interval": None}), "no-baseline"),
    "of too few tokens": (result("awq", {"task": "perplexity", "items": 400, "loss_percent": 1.0, "interval": [0.9, 1.1]}), "small-sample"),
    "too wide": (result("awq", {"task": "gsm8k", "items": 60, "loss_percent": 1.0, "interval": [-6.0, 8.0]}), "small-sample"),
    "without a date": (result("awq", date="yesterday"), "not-a-result"),
    "no number": (result("awq", {"task": "gsm8k", "items": 100, "loss_percent": float("nan"), "interval": [0, 1]}), "not-a-result"),
    "outside its interval": (result("awq", {"task": "gsm8k", "items": 100, "loss_percent": 3, "interval": [0, 1]}), "not-a-result"),
    "a benchmark": ({"completed": 3}, "not-a-result"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_attributed_is_refused_with_the_reason(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, code = REFUSED[name]
    assert main([*written(tmp_path, data), "--write", str(tmp_path / "mine")]) == 1
    assert f"eval-0.json:1:1: error[{code}]" in capsys.readouterr().err
    assert not (tmp_path / "mine").exists()


def test_two_results_of_one_method_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*written(tmp_path, result("awq"), result("awq")), "--write", str(tmp_path / "mine")]) == 1
    assert "same-method" in capsys.readouterr().err


def test_a_list_is_no_result(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = written(tmp_path, result("awq"))
    (tmp_path / "eval-0.json").write_text("[]", encoding="utf-8")
    assert main(words) == 1
    assert "not-a-result" in capsys.readouterr().err

"""`gen-deploy list`: what has a word in its name, and when a model was last looked at."""

from __future__ import annotations

import json

import pytest

from generator.cli import main


def test_a_word_narrows_the_list_however_it_is_written(capsys: pytest.CaptureFixture[str]) -> None:
    found = []
    for word in ("Qwen3-8B", "qwen3 8b", "QWEN3_8B"):
        assert main(["list", "models", word, "--json"]) == 0
        found.append([row["name"] for row in json.loads(capsys.readouterr().out)])
    assert found == [["Qwen/Qwen3-8B"]] * 3
    assert main(["list", "gpus", "no such card", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []


def test_each_model_says_when_it_was_last_looked_at(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "models", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert len(rows) > 150
    assert not [row["name"] for row in rows if not str(row["looked_at"]).startswith("2026-")]
    assert main(["list", "models", "Qwen3-8B"]) == 0
    assert "looked at" in capsys.readouterr().out

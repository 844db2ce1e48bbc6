"""eval.sh with the real llama.cpp: the server that runs, both files through llama-perplexity, and a decision that the result changes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("gguf", reason="the PyPI package gguf writes the files")

import tiny_gguf
from binaries import ask, folder
from server import clean_environment
from test_generated import SMALL, Generated, generate
from tiny_gguf import TinyModel, write_tiny_gguf

from generator.cli.main import main

pytestmark = pytest.mark.llama_cpp


@pytest.fixture(scope="module")
def programs() -> Path:
    found = folder()
    if not (found / "llama-perplexity").is_file():
        pytest.skip("this build has no llama-perplexity: run tests/engines/llama_cpp/build.sh again")
    return found


@pytest.fixture
def served(programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generated:
    """A plan that serves a Q4_0 file; sixteen.gguf beside it is its source, wider than usual, so that rounding can be seen."""
    monkeypatch.setattr(tiny_gguf, "DEVIATION", 0.05)
    site = tmp_path / "site"
    site.mkdir()
    write_tiny_gguf(site / "sixteen.gguf", TinyModel())
    ask(tmp_path, "llama-quantize", site / "sixteen.gguf", site / "tiny.gguf", "Q4_0")
    spec = {
        "model": {"id": "me/tiny", "gguf": "./tiny.gguf"}, "hardware": {"gpu": "cpu", "memory_gib": 8},
        "workload": {**SMALL, "profile": "agent", "max_quality_loss_percent": 0.5},
    }  # fmt: skip
    return generate(programs, tmp_path, spec)


def evaluate(generated: Generated, home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    env = clean_environment(home, {"PATH": f"{generated.programs}:{os.environ['PATH']}", "PYTHON": sys.executable})
    script = [str(generated.folder / "llama.cpp" / "eval.sh"), *words]
    return subprocess.run(script, capture_output=True, text=True, errors="replace", env=env, cwd=home, timeout=300, check=False)


def result(home: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((home / "eval.json").read_text(encoding="utf-8"))
    return found


def test_it_runs_against_the_server_and_resumes(served: Generated, tmp_path: Path) -> None:
    with served.running():
        done = evaluate(served, tmp_path, "--tasks", "tool-calls,perplexity")
        assert done.returncode == 0, done.stderr
        assert "no log probabilities of a prompt" in done.stderr  # llama-server has none; its own tool does it
        (calls,) = result(tmp_path)["tasks"]
        assert (calls["task"], calls["items"], calls["measured"], calls["loss_percent"]) == ("tool-calls", 50, 0.0, None)
        kept = tmp_path / "eval" / "measured" / "tool-calls.json"
        before = kept.stat().st_mtime_ns
        again = evaluate(served, tmp_path, "--tasks", "tool-calls")
        assert again.returncode == 0 and "finished before" in again.stderr and kept.stat().st_mtime_ns == before
    done = evaluate(served, tmp_path, "--tasks", "tool-calls")
    assert done.returncode == 1 and "does not answer" in done.stderr


def test_both_files_are_compared_and_the_decision_changes(served: Generated, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    done = evaluate(served, tmp_path, "--source", str(tmp_path / "site" / "sixteen.gguf"))
    assert done.returncode == 0, done.stderr
    (found,) = result(tmp_path)["tasks"]
    assert found["files"] == ["sixteen.gguf", "tiny.gguf"]
    assert found["items"] == 4826  # 38 pieces of 256 tokens, the second half of each scored
    assert 0.5 < found["loss_percent"] < 2.5 and found["interval"][0] < found["loss_percent"] < found["interval"][1]
    assert 0.01 < found["kl"] < 0.1 and 30 < found["agreement_percent"] < 80
    again = evaluate(served, tmp_path, "--source", str(tmp_path / "site" / "sixteen.gguf"))
    assert again.returncode == 0 and "finished before" in again.stderr
    spec = str(tmp_path / "site" / "spec.yaml")
    capsys.readouterr()
    assert main(["plan", spec, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["quality"]["loss_percent"]["value"] is None  # nothing is published of so small a model
    assert main(["calibrate", "--quality", str(tmp_path / "eval.json"), "--spec", spec, "--write", str(tmp_path / "mine")]) == 0
    assert main(["plan", spec, "--rules", str(tmp_path / "mine")]) == 4
    assert "exceeds max_quality_loss_percent" in capsys.readouterr().err


def test_what_the_tool_needs_is_said(served: Generated, tmp_path: Path) -> None:
    assert "no such file: /missing" in evaluate(served, tmp_path, "--source", "/missing").stderr
    (tmp_path / "broken.gguf").write_bytes(b"GGUF")
    done = evaluate(served, tmp_path, "--source", str(tmp_path / "broken.gguf"))
    assert done.returncode == 1 and "llama-perplexity ended with" in done.stderr
    shutil.rmtree(tmp_path / "eval")
    alone = Generated(served.folder, served.port, served.plan, tmp_path)
    env = clean_environment(tmp_path, {"PATH": "/usr/bin:/bin", "PYTHON": sys.executable})
    words = [str(alone.folder / "llama.cpp" / "eval.sh"), "--source", str(tmp_path / "site" / "sixteen.gguf")]
    done = subprocess.run(words, capture_output=True, text=True, env=env, cwd=tmp_path, timeout=60, check=False)
    assert done.returncode == 1 and "llama-perplexity is not on PATH" in done.stderr

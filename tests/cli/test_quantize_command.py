"""`gen-deploy quantize`: the job alone, beside what lies there already."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command import run, tree

SPEC = "model: Qwen/Qwen2.5-7B-Instruct\nhardware: {gpu: A100-80GB}\npin: {engine: vllm, quantization: awq}\n"


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "chat.yaml"
    path.write_text(SPEC, encoding="utf-8")
    return path


def test_only_the_job_is_written(spec: Path, tmp_path: Path) -> None:
    said = run("quantize", spec, "-o", tmp_path / "out")
    assert (said.code, "W4A16_ASYM" in said.out) == (0, True)
    assert "already holds awq weights" in said.err
    names = {path for path in tree(tmp_path / "out" / "chat") if "/" not in path}
    assert names == {"manifest.json", "quantize"}
    again = run("quantize", spec, "-o", tmp_path / "out")
    assert "0 written" in again.out


def test_the_files_of_a_plan_stay_and_stay_known(spec: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert run(spec, "-o", out).code == 0
    before = tree(out)
    assert run("quantize", spec, "-o", out).code == 0
    after = tree(out)
    assert {path for path in before if path != "chat/manifest.json"} <= set(after)
    assert all(after[path] == found for path, found in before.items() if path != "chat/manifest.json")
    files = json.loads((out / "chat/manifest.json").read_text(encoding="utf-8"))["files"]
    assert {"vllm/serve.sh", "quantize/job.yaml"} <= set(files)
    (out / "chat/vllm/serve.sh").write_text("mine\n", encoding="utf-8")
    assert run("quantize", spec, "-o", out).code == 0  # no file of the job: none of its business
    assert run(spec, "-o", out).code == 5  # and still known to be edited


def test_json(spec: Path, tmp_path: Path) -> None:
    said = run("quantize", spec, "-o", tmp_path / "out", "--json")
    assert set(said.json) >= {"tool", "version", "method", "needs", "output_size_gib"}
    assert set(said.json["needs"]) >= {"gpu_memory_gib", "host_memory_gib", "disk_gb"}


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("model: Qwen/Qwen2.5-7B-Instruct\nhardware: {gpu: A100-80GB}\npin: {engine: vllm, quantization: bf16}\n", 4, "nothing-to-make"),
        ("model: {id: me/mine, parameters: 7e9}\nhardware: {gpu: A100-80GB}\npin: {engine: vllm, quantization: awq}\n", 4, "weights-not-prepared"),
        ("model: Qwen/Qwen2.5-7B-Instruct\nhardware: {gpu: A100-81GB}\n", 1, "unknown-gpu"),
        (SPEC + "quantize: {tool: autoawq}\n", 1, "llm-compressor"),
        (SPEC + "quantize: {group_size: 96}\n", 1, "96"),
        (SPEC + "quantize: {keep: [attentoin]}\n", 1, "did you mean 'attention'"),
        (SPEC + "quantize: {first_layers: -1}\n", 1, "-1"),
        (SPEC + "quantize: {calibration: {samples: 0}}\n", 1, "0"),
    ],
)
def test_what_cannot_be_made_is_said_and_nothing_written(tmp_path: Path, text: str, code: int, words: str) -> None:
    path = tmp_path / "chat.yaml"
    path.write_text(text, encoding="utf-8")
    said = run("quantize", path, "-o", tmp_path / "out")
    assert (said.code, words in said.err) == (code, True), said.err
    assert not (tmp_path / "out").exists()


def test_a_file_that_was_edited_is_not_overwritten(spec: Path, tmp_path: Path) -> None:
    run("quantize", spec, "-o", tmp_path / "out")
    job = tmp_path / "out/chat/quantize/job.yaml"
    job.write_text("mine: true\n", encoding="utf-8")
    said = run("quantize", spec, "-o", tmp_path / "out")
    assert (said.code, "edited by hand" in said.err) == (5, True)
    assert run("quantize", spec, "-o", tmp_path / "out", "--force").code == 0

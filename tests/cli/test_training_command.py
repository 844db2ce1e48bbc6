"""`gen-deploy quantize --job`: training, distillation, pruning and sparsity."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from command import run, tree

STUDENT = "model: Qwen/Qwen2.5-0.5B-Instruct\nhardware: {gpu: A100-80GB, gpus_per_node: 2}\n"
TAUGHT = STUDENT + "quantize: {teacher: Qwen/Qwen2.5-7B-Instruct, calibration: {file: ./rows.jsonl, samples: 100}}\n"


def spec(folder: Path, text: str) -> Path:
    path = folder / "small.yaml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("job", "text", "method", "words"),
    [
        ("distillation", TAUGHT, "logits", "on each of 2 GPUs"),
        ("qat", STUDENT, "nvfp4", "Model Optimizer"),
        ("pruning", STUDENT, "depth-width", "Transformers"),
        ("sparsity", STUDENT, "sparsegpt", "LLM Compressor"),
    ],
)
def test_each_job_is_written_whole(tmp_path: Path, job: str, text: str, method: str, words: str) -> None:
    said = run("quantize", spec(tmp_path, text), "-o", tmp_path / "out", "--job", job)
    assert (said.code, method in said.out, words in said.out) == (0, True, True), said
    folder = tmp_path / "out/small" / job
    names = {path.name for path in folder.iterdir()}
    assert {"job.yaml", "run.sh", "requirements.txt", "training_job.py", ".gitignore"} < names
    assert ("fsdp2.yaml" in names) == (job in ("distillation", "qat"))
    data = yaml.safe_load((folder / "job.yaml").read_text(encoding="utf-8"))
    assert data["model"]["id"] == "Qwen/Qwen2.5-0.5B-Instruct" and data["model"]["trust_remote_code"] is False
    if job == "distillation":
        assert data["teacher"]["id"] == "Qwen/Qwen2.5-7B-Instruct"
        assert data["data"] == {"file": "../../../rows.jsonl", "samples": 100}


@pytest.mark.parametrize(
    ("gpu", "more", "method"),
    [
        ("H100-80GB", "", "fp8"),
        ("B200-180GB", "", "nvfp4"),
        ("A100-80GB", "pin: {engine: tensorrt-llm}\n", "awq"),
        ("B200-180GB", "pin: {quantization: fp8}\n", "fp8"),
    ],
)
def test_qat_is_for_what_the_hardware_runs(tmp_path: Path, gpu: str, more: str, method: str) -> None:
    text = f"model: Qwen/Qwen2.5-0.5B-Instruct\nhardware: {{gpu: {gpu}}}\n{more}"
    said = run("quantize", spec(tmp_path, text), "-o", tmp_path / "out", "--job", "qat", "--json")
    assert said.json["method"] == method


def test_what_gains_nothing_is_said(tmp_path: Path) -> None:
    said = run("quantize", spec(tmp_path, STUDENT), "-o", tmp_path / "out", "--job", "sparsity")
    assert "no engine runs it faster" in said.err


def test_what_does_not_fit_is_said_with_what_would(tmp_path: Path) -> None:
    text = "model: meta-llama/Llama-3.1-8B-Instruct\nhardware: {gpu: RTX4090-24GB}\n"
    said = run("quantize", spec(tmp_path, text), "-o", tmp_path / "out", "--job", "qat", "--json")
    assert said.code == 0
    assert said.json["needs"]["gpu_memory_gib"] > 100
    assert "16 of them would do" in said.err


@pytest.mark.parametrize(
    ("text", "more", "code", "words"),
    [
        (STUDENT, ["--job", "destillation"], 1, "did you mean 'distillation'"),
        (STUDENT, ["--job", "distillation"], 1, "a student needs a teacher"),
        (STUDENT + "quantize: {teacher: nobody/nothing}\n", ["--job", "distillation"], 1, "not in the catalogue"),
        (STUDENT, ["--job", "qat", "--method", "fp16"], 1, "has no method"),
        (STUDENT, ["--job", "pruning", "--method", "experts"], 1, "no mixture of experts"),
        (STUDENT + "pin: {engine: llama.cpp}\n", ["--job", "qat", "--method", "fp8"], 1, "not for llama.cpp"),
        (STUDENT, ["--method", "fp8"], 2, "--method needs --job"),
        (STUDENT, ["--job", "qat", "--rules", "handbook"], 1, "lacks the threshold"),
    ],
)
def test_what_cannot_be_is_said_and_nothing_written(tmp_path: Path, text: str, more: list[str], code: int, words: str) -> None:
    said = run("quantize", spec(tmp_path, text), "-o", tmp_path / "out", *more)
    assert (said.code, words in said.err) == (code, True), said.err
    assert not (tmp_path / "out").exists()


def test_jobs_lie_beside_one_another(tmp_path: Path) -> None:
    path = spec(tmp_path, TAUGHT)
    for job in ("qat", "distillation", "pruning", "sparsity"):
        assert run("quantize", path, "-o", tmp_path / "out", "--job", job).code == 0
    before = tree(tmp_path / "out")
    for job in ("qat", "distillation", "pruning", "sparsity"):
        assert "0 written" in run("quantize", path, "-o", tmp_path / "out", "--job", job).out
    assert tree(tmp_path / "out") == before

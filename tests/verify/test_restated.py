"""`init --from`: what a command says, in the words of a spec."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from generator.cli.main import main


def said(folder: Path, command: str, gpu: str = "8x H200", *words: str) -> dict[str, Any]:
    """The spec of a command."""
    (folder / "run.sh").write_text(command + "\n", encoding="utf-8")
    assert main(["init", str(folder / "spec.yaml"), "--force", "--from", str(folder / "run.sh"), "--gpu", gpu, *words]) == 0
    spec: dict[str, Any] = yaml.safe_load((folder / "spec.yaml").read_text(encoding="utf-8"))
    return spec


def test_settings_are_pins_and_options_extra_arguments(tmp_path: Path) -> None:
    spec = said(tmp_path, "vllm serve Qwen/Qwen3-8B-AWQ -tp 2 --max-model-len 16k --seed 7 --host 127.0.0.1")
    assert {"engine": "vllm", "tensor_parallel": 2, "max_model_len": 16000, "quantization": "awq"}.items() <= spec["pin"].items()
    assert spec["deploy"]["extra_args"]["vllm"]["seed"] == 7
    assert spec["deploy"]["host"] == "127.0.0.1"


def test_the_engines_own_defaults_are_pinned(tmp_path: Path) -> None:
    assert said(tmp_path, "vllm serve Qwen/Qwen3-8B")["pin"]["max_model_len"] == 40960
    pin = said(tmp_path, "sglang serve --model-path Qwen/Qwen3-8B", "RTX 4090")["pin"]
    assert (pin["max_num_batched_tokens"], round(pin["gpu_memory_utilization"], 2)) == (4096, 0.71)


def test_variables_that_list_gpus_are_devices(tmp_path: Path) -> None:
    spec = said(tmp_path, "CUDA_VISIBLE_DEVICES=1,3 vllm serve Qwen/Qwen3-8B -tp 2", "4x RTX 4090")
    assert spec["hardware"]["devices"] == [1, 3]
    assert "env" not in spec["deploy"]


def test_a_secret_is_named_and_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said(tmp_path, "HF_TOKEN=hf_abcdefghijklmnopqrstuvwxyzabcdefgh vllm serve Qwen/Qwen3-8B --api-key sk-0123456789abcdef0123")
    text, told = (tmp_path / "spec.yaml").read_text(encoding="utf-8"), capsys.readouterr().err
    assert "hf_a" not in text + told
    assert "sk-0" not in text + told
    assert "HF_TOKEN" in told
    assert "--api-key" in told


@pytest.mark.parametrize(
    ("command", "tensor", "data"),
    [
        ("sglang serve --model-path deepseek-ai/DeepSeek-V3 --tp-size 8 --dp-size 8 --enable-dp-attention", 1, 8),
        ("sglang serve --model-path deepseek-ai/DeepSeek-V3 --tp-size 8 --attn-dp-size 8", 1, 8),
        ("vllm serve deepseek-ai/DeepSeek-V3 -dp 8 --enable-expert-parallel", 1, 8),
        ("vllm serve Qwen/Qwen3-8B -dp 8", 1, None),
    ],
)
def test_ranks_of_attention_are_no_copies(tmp_path: Path, command: str, tensor: int, data: int | None) -> None:
    spec = said(tmp_path, command)
    assert (spec["pin"]["tensor_parallel"], spec["pin"].get("data_parallel")) == (tensor, data)
    assert spec["deploy"]["replicas"] == (8 if data is None else 1)


def test_a_model_that_is_not_known(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = said(tmp_path, "vllm serve me/Qwen3-8B-GPTQ-Int4")
    assert spec["model"] == {"id": "Qwen/Qwen3-8B", "checkpoints": {"gptq": "me/Qwen3-8B-GPTQ-Int4"}}
    spec = said(tmp_path, "vllm serve me/Something-7B")
    assert spec["model"] == {"id": "me/Something-7B", "parameters": 7_000_000_000}
    assert spec["deploy"]["extra_args"]["vllm"]["max-model-len"] is False
    assert said(tmp_path, "vllm serve me/Something --seed 7")["model"] == {"id": "me/Something"}
    assert capsys.readouterr().err.count("unknown-model") == 3


def test_a_file_that_starts_two_servers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "run.sh").write_text("vllm serve a/b &\nvllm serve c/d &\n", encoding="utf-8")
    assert main(["init", str(tmp_path / "spec.yaml"), "--from", str(tmp_path / "run.sh"), "--gpu", "H100"]) == 1
    assert "one server" in capsys.readouterr().err

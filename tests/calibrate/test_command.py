"""`gen-deploy calibrate`: predicted beside logged, which term is off, and an overlay that makes the prediction the log."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from generator.cli.main import main
from generator.rulebook.book import load

LOGS = Path(__file__).resolve().parents[1] / "data" / "logs"

SPECS = {
    "h100": "model: meta-llama/Llama-3.1-8B-Instruct\nhardware: {gpu: H100-80GB, memory_gib: 79.19}\npin: {quantization: bf16}\n",
    "l4": "model: meta-llama/Llama-3.1-8B-Instruct\nhardware: {gpu: L4-24GB}\npin: {quantization: bf16}\n",
    "a10g": (
        "model: meta-llama/Llama-3.1-8B-Instruct\nhardware: {gpu: A10G-24GB}\n"
        "pin: {engine_version: '0.7.3', quantization: bf16, max_num_seqs: 1, max_num_batched_tokens: 2048}\n"
    ),
    "3090": "model: Qwen/Qwen2.5-14B-Instruct\nhardware: {gpu: RTX3090-24GB}\npin: {quantization: gguf-q4_k_m}\n",
    "3060": "model: Qwen/Qwen2.5-7B-Instruct\nhardware: {gpu: RTX3060-12GB}\npin: {quantization: gguf-q4_k_m}\n",
    "l4x4": "model: Qwen/Qwen2.5-32B-Instruct\nhardware: {gpu: L4-24GB, gpus_per_node: 4}\npin: {quantization: bf16}\n",
    "3080ti": "model: Qwen/Qwen3.5-9B\nhardware: {gpu: RTX3080Ti-12GB}\npin: {quantization: gguf-q4_k_m}\n",
    "3090x2": (
        "model: Qwen/Qwen3.5-9B\nhardware: {gpu: RTX3090-24GB, gpus_per_node: 2}\n"
        "pin: {quantization: bf16, tensor_parallel: 2, gpu_memory_utilization: 0.8}\n"
    ),
    "excerpt": (
        "model: meta-llama/Llama-3.1-8B-Instruct\nhardware: {gpu: H100-80GB, memory_gib: 79.25}\n"
        "pin: {quantization: bf16, gpu_memory_utilization: 0.92}\n"
    ),
}
WITHIN: dict[tuple[str, str], dict[str, float]] = {
    ("vllm-0.19.0-h100.log", "h100"): {"weights": 0.5, "activations": 1, "runtime": 5, "kv_cache": 1, "kv_tokens": 1, "capacity": 0.1},
    ("vllm-0.11.0-l4.log", "l4"): {"weights": 0.5, "kv_cache": 10, "kv_tokens": 10},
    ("vllm-0.7.3-a10g.log", "a10g"): {"weights": 0.5, "activations": 5, "kv_cache": 5, "kv_tokens": 5},
    ("llama.cpp-b7896-rtx3090.log", "3090"): {"weights": 1, "kv_cache": 0.01, "activations": 0.5},
    ("ollama-0.20.2-rtx3060.log", "3060"): {"weights": 1, "kv_cache": 5},
    ("llama.cpp-b9849-slots-rtx3080ti.log", "3080ti"): {"kv_cache": 0.5},
    ("sglang-excerpt-hybrid-2x3090.log", "3090x2"): {"weights": 1, "kv_cache": 3, "kv_tokens": 3},
    ("vllm-excerpt-llama8b-h100.log", "excerpt"): {"weights": 0.5, "kv_cache": 1, "kv_tokens": 1},
    ("sglang-0.4.3-l4x4.log", "l4x4"): {"weights": 3, "kv_cache": 10, "kv_tokens": 10},
}


def spec(tmp_path: Path, name: str) -> str:
    path = tmp_path / f"{name}.yaml"
    path.write_text(SPECS[name], encoding="utf-8")
    return str(path)


def told(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    assert main(["calibrate", *words, "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


@pytest.mark.parametrize(("log", "name"), WITHIN)
def test_predictions_are_what_was_logged(log: str, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = told(capsys, str(LOGS / log), "--spec", spec(tmp_path, name))
    errors = {term["term"]: abs(term["error_percent"]) for term in found["terms"] if term["error_percent"] is not None}
    wanted = WITHIN[log, name]
    assert {term: errors[term] for term in wanted if errors[term] > wanted[term]} == {}


def test_a_term_that_is_off_is_named_and_an_overlay_mends_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = tmp_path / "start.log"
    text = (LOGS / "vllm-0.19.0-h100.log").read_text(encoding="utf-8")
    log.write_text(text.replace("torch peak memory increase: 1.89GiB", "torch peak memory increase: 2.60GiB"), encoding="utf-8")
    words = [str(log), "--spec", spec(tmp_path, "h100")]
    found = told(capsys, *words)
    assert found["off"] == "activations"
    assert [m["threshold"] for m in found["measured"]] == ["vllm.activation_base_gib"]
    folder = tmp_path / "mine"
    assert main(["calibrate", *words, "--write", str(folder)]) == 0
    assert sorted(path.name for path in folder.iterdir()) == ["ruleset.yaml", "sources.yaml", "thresholds.yaml"]
    capsys.readouterr()
    again = told(capsys, *words, "--rules", str(folder))
    assert again["off"] is None
    book = load(str(folder))
    assert book.number("vllm.activation_base_gib", "0.19.0") == pytest.approx(0.76, abs=0.02)
    for version in ("0.11.0", "0.33.0"):  # other eras keep their numbers
        assert book.number("vllm.activation_base_gib", version) == load("default").number("vllm.activation_base_gib", version)
    source = book.source("measured-0-19")
    assert source is not None
    assert "start.log" in source["where"]


POOL = "(EngineCore pid=1) INFO 10-06 17:00:33 [gpu_worker.py:692] Available KV cache memory: {} GiB\n"


def test_a_pool_that_is_off_is_said_and_an_overlay_closes_the_loop(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A single line: nothing else tells why, so what is missing is put down to a term, and the next plan has that pool."""
    log = tmp_path / "line.log"
    log.write_text(POOL.format("29.30"), encoding="utf-8")
    words = [str(log), "--spec", spec(tmp_path, "excerpt")]
    found = told(capsys, *words)
    assert (found["off"], found["pool"]["off"]) == ("kv_cache", "kv_cache")
    assert found["pool"]["unexplained_gib"] == pytest.approx(27, abs=0.5)
    assert set(found["assumed"]) == {"engine_version", "max_model_len", "max_num_seqs", "max_num_batched_tokens", "kv_cache_dtype"}
    assert main(["calibrate", *words]) == 0
    text = capsys.readouterr().out
    assert "no term is off" not in text and "all of it put down to run-time buffers" not in text
    log.write_text(POOL.format("52.00"), encoding="utf-8")
    assert main(["calibrate", *words, "--write", str(tmp_path / "mine")]) == 0
    assert "all of it put down to run-time buffers" in capsys.readouterr().out
    again = told(capsys, *words, "--rules", str(tmp_path / "mine"))
    assert (again["off"], again["pool"]) == (None, None)
    cache = next(term for term in again["terms"] if term["term"] == "kv_cache")
    assert cache["predicted"] == pytest.approx(52.0, abs=0.02)


def test_a_pool_that_the_logged_terms_explain_is_no_finding_of_its_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = tmp_path / "start.log"
    text = (LOGS / "vllm-excerpt-llama8b-h100.log").read_text(encoding="utf-8")
    text = text.replace("1.44 GiB for peak", "11.44 GiB for peak").replace("memory: 56.21", "memory: 46.21").replace("460,496", "378,560")
    log.write_text(text, encoding="utf-8")
    found = told(capsys, str(log), "--spec", spec(tmp_path, "excerpt"))
    assert (found["off"], found["pool"]) == ("activations", None)


def test_lines_of_llama_cpp_may_be_its_ollama_s(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "other.yaml"
    path.write_text(SPECS["3080ti"].replace("pin: {", "pin: {engine: ollama, "), encoding="utf-8")
    found = told(capsys, str(LOGS / "llama.cpp-b9849-slots-rtx3080ti.log"), "--spec", str(path))
    assert (found["engine"], found["engine_version"]) == ("ollama", None)


def test_writing_twice_or_into_a_full_folder_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "note").write_text("mine", encoding="utf-8")
    words = ["calibrate", str(LOGS / "vllm-0.11.0-l4.log"), "--spec", spec(tmp_path, "l4"), "--write", str(tmp_path / "mine")]
    assert main(words) == 5
    assert "not-empty" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["note"]


def test_the_table_for_a_reader(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["calibrate", str(LOGS / "vllm-0.11.0-l4.log"), "--spec", spec(tmp_path, "l4")]) == 0
    text = capsys.readouterr().out
    assert "predicted" in text
    assert "max_num_seqs: the log has 128" in text
    assert text.endswith("\n")


def test_what_does_not_fit_together_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "other.yaml"
    path.write_text(SPECS["l4"].replace("quantization: bf16", "engine: sglang"), encoding="utf-8")
    assert main(["calibrate", str(LOGS / "vllm-0.11.0-l4.log"), "--spec", str(path)]) == 2
    assert "other-engine" in capsys.readouterr().err
    assert main(["calibrate", str(LOGS / "vllm-0.11.0-l4.log"), "--spec", spec(tmp_path, "l4"), "--rules", "handbook"]) == 2
    assert main(["calibrate", str(LOGS / "README.md"), "--spec", spec(tmp_path, "l4")]) == 1
    assert "unknown-log" in capsys.readouterr().err

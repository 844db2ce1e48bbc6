"""`bench.sh` of every engine: words that mean what the spec says, run against stand-ins; and its result beside the estimate."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path

import pytest

from generator.cli.main import main

SPEC = """\
name: fast
model: meta-llama/Llama-3.1-8B-Instruct
hardware: {gpu: RTX4090-24GB}
workload: {concurrency: 4, input_tokens: 50, output_tokens: 20, max_context: 4096}
deploy: {api_key_from: MY_KEY, host: 0.0.0.0, served_name: "NAME"}
pin: {engine: ENGINE}
"""
ENGINES = ("vllm", "sglang", "tensorrt-llm", "llama.cpp", "ollama")
needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of each engine for one load; Ollama takes no name that the shell would have to quote."""
    here = tmp_path_factory.mktemp("bench")
    for engine in ENGINES:
        text = SPEC.replace("NAME", "eight" if engine == "ollama" else "it's $HOME").replace("ENGINE", engine)
        (here / "spec.yaml").write_text(text, encoding="utf-8")
        assert main([str(here / "spec.yaml"), "-o", str(here / engine), "-q"]) == 0
        shutil.copytree(here / engine / "fast" / engine, here / "fast" / engine)
    return here / "fast"


def stand_in(folder: Path, name: str, text: str) -> None:
    """A program that writes down its words."""
    path = folder / name
    head = f"#!/usr/bin/env bash\nprintf '%s\\0' \"$@\" > {folder}/words\nprintf '%s' \"$OPENAI_API_KEY\" > {folder}/key\n"
    path.write_text(head + text, encoding="utf-8")
    path.chmod(0o755)


def run(script: Path, where: Path, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    path = f"{where}:{os.environ['PATH']}"
    variables = {**os.environ, "PATH": path, "MY_KEY": "secret key", **env}
    return subprocess.run([str(script), *words], cwd=where, env=variables, capture_output=True, text=True, timeout=60, check=False)


def test_vllm_and_sglang_get_the_lengths_and_the_concurrency_of_the_spec(folder: Path, tmp_path: Path) -> None:
    stand_in(tmp_path, "vllm", "")
    assert run(folder / "vllm" / "bench.sh", tmp_path, "--seed", "1").returncode == 0
    words = (tmp_path / "words").read_text(encoding="utf-8").split("\0")[:-1]
    assert words[:2] == ["bench", "serve"]
    flags = dict(pairwise(words))
    wanted = {"--random-input-len": "50", "--random-output-len": "20", "--max-concurrency": "4", "--base-url": "http://127.0.0.1:8000"}
    assert {name: flags[name] for name in wanted} == wanted
    assert flags["--served-model-name"] == "it's $HOME"
    assert int(flags["--num-prompts"]) >= 16
    assert words[-2:] == ["--seed", "1"]
    assert (tmp_path / "key").read_text(encoding="utf-8") == "secret key"
    stand_in(tmp_path, "python3", "")
    assert run(folder / "sglang" / "bench.sh", tmp_path).returncode == 0
    words = (tmp_path / "words").read_text(encoding="utf-8").split("\0")[:-1]
    assert words[:2] == ["-m", "sglang.bench_serving"]
    flags = dict(pairwise(words))
    assert (flags["--random-input-len"], flags["--random-output-len"], flags["--max-concurrency"]) == ("50", "20", "4")


class Server(BaseHTTPRequestHandler):
    """Answers completions, and remembers what was asked."""

    asked: list[dict[str, object]]
    keys: set[str]

    def do_POST(self) -> None:
        data = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked.append(data)
        self.keys.add(str(self.headers.get("Authorization")))
        body = json.dumps({"choices": [{"text": "word"}], "usage": {"prompt_tokens": 52, "completion_tokens": 20, "total_tokens": 72}}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing on stderr."""


@pytest.fixture
def server() -> Iterator[tuple[str, type[Server]]]:
    class Fresh(Server):
        asked: list[dict[str, object]] = []  # noqa: RUF012 -- of this class alone, which lives for one test
        keys: set[str] = set()  # noqa: RUF012

    found = ThreadingHTTPServer(("127.0.0.1", 0), Fresh)
    thread = threading.Thread(target=found.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{found.server_port}", Fresh
    found.shutdown()
    found.server_close()
    thread.join()


@needs_curl
@pytest.mark.parametrize("engine", ["tensorrt-llm", "llama.cpp", "ollama"])
def test_the_plain_load_counts_what_came_back(engine: str, folder: Path, tmp_path: Path, server: tuple[str, type[Server]]) -> None:
    url, asked = server
    done = run(folder / engine / "bench.sh", tmp_path, "12", "3", BASE_URL=url)
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "bench.json").read_text(encoding="utf-8"))
    assert (result["backend"], result["max_concurrency"], result["completed"], result["failed"]) == (engine, 3, 12, 0)
    assert (result["total_output_tokens"], result["total_input_tokens"]) == (240, 624)
    assert result["output_throughput"] > 0
    assert len(asked.asked) == 13  # one to warm up
    assert len({str(one["prompt"]) for one in asked.asked}) == 13
    assert all(len(str(one["prompt"]).split()) == 51 and one["max_tokens"] == 20 for one in asked.asked)
    if engine == "llama.cpp":
        assert asked.keys == {"Bearer secret key"}
        assert {one["model"] for one in asked.asked} == {"it's $HOME"}


@needs_curl
def test_a_server_that_does_not_answer(folder: Path, tmp_path: Path) -> None:
    done = run(folder / "llama.cpp" / "bench.sh", tmp_path, BASE_URL="http://127.0.0.1:9")
    assert done.returncode == 1
    assert "did not answer" in done.stderr
    assert not (tmp_path / "bench.json").exists()


def test_one_sequence_on_llama_cpp_is_measured_without_a_server(tmp_path: Path) -> None:
    spec = tmp_path / "spec.yaml"
    lines = ("name: one", "model: Qwen/Qwen2.5-7B-Instruct", "hardware: {gpu: RTX4090-24GB}", "workload: {profile: dev}", "pin: {engine: llama.cpp}")
    spec.write_text("\n".join(lines), encoding="utf-8")
    assert main([str(spec), "-o", str(tmp_path / "out"), "-q"]) == 0
    tests = [{"n_prompt": 1000, "n_gen": 0, "avg_ts": 5000.0}, {"n_prompt": 0, "n_gen": 400, "avg_ts": 90.0}]
    stand_in(tmp_path, "llama-bench", f"echo '{json.dumps(tests)}'")
    assert run(tmp_path / "out/one/llama.cpp/bench.sh", tmp_path).returncode == 0
    words = (tmp_path / "words").read_text(encoding="utf-8").split("\0")[:-1]
    flags = dict(pairwise(words))
    assert (flags["-p"], flags["-n"], flags["-o"]) == ("1000", "400", "json")
    assert main(["calibrate", "--bench", str(tmp_path / "bench.json"), "--spec", str(spec)]) == 0


def test_llama_bench_leaves_the_same_experts_in_host_memory(tmp_path: Path) -> None:
    spec = tmp_path / "spec.yaml"
    pin = "pin: {engine: llama.cpp, quantization: gguf-mxfp4, pipeline_parallel: 2, cpu_experts: 7}"
    lines = ("name: one", "model: openai/gpt-oss-120b", "hardware: {gpu: RTX5090-32GB, gpus_per_node: 2}", "workload: {profile: dev, concurrency: 1}", pin)
    spec.write_text("\n".join(lines), encoding="utf-8")
    assert main([str(spec), "-o", str(tmp_path / "out"), "-q"]) == 0
    stand_in(tmp_path, "llama-bench", "echo '[]'")
    run(tmp_path / "out/one/llama.cpp/bench.sh", tmp_path)
    flags = dict(pairwise((tmp_path / "words").read_text(encoding="utf-8").split("\0")[:-1]))
    first, second = map(int, flags["-ts"].split("/"))
    assert (flags["-ngl"], flags["--n-cpu-moe"], first + second) == ("37", "7", 37)


VLLM = {
    "backend": "vllm", "max_concurrency": 16, "completed": 80, "total_input_tokens": 80000, "total_output_tokens": 24000,
    "output_throughput": 900.0, "mean_ttft_ms": 150.0, "mean_tpot_ms": 16.0,
}  # fmt: skip
PLAIN = (
    "model: Qwen/Qwen2.5-7B-Instruct\nhardware: {gpu: A100-80GB}\nworkload: {concurrency: 16, input_tokens: 1000, output_tokens: 300}\n"
    "pin: {quantization: bf16}\n"
)


def calibrated(tmp_path: Path, result: object, *words: str) -> int:
    (tmp_path / "spec.yaml").write_text(PLAIN, encoding="utf-8")
    text = result if isinstance(result, str) else json.dumps(result)
    (tmp_path / "bench.json").write_text(text, encoding="utf-8")
    return main(["calibrate", "--bench", str(tmp_path / "bench.json"), "--spec", str(tmp_path / "spec.yaml"), *words])


def test_the_measured_factor_makes_the_estimate_what_was_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert calibrated(tmp_path, VLLM, "--json") == 0
    before = json.loads(capsys.readouterr().out)
    names = {one["name"]: one for one in before["figures"]}
    assert set(names) == {"output_tokens_per_second", "tpot_ms", "ttft_ms"}
    assert names["tpot_ms"]["measured"] == 16.0
    assert names["tpot_ms"]["ratio"] == pytest.approx(16.0 / names["tpot_ms"]["estimated"], rel=0.01)
    assert before["factor"]["threshold"] == "speed.engine.vllm"
    assert calibrated(tmp_path, VLLM, "-q", "--write", str(tmp_path / "mine")) == 0
    capsys.readouterr()
    assert calibrated(tmp_path, VLLM, "--json", "--rules", str(tmp_path / "mine")) == 0
    after = json.loads(capsys.readouterr().out)
    assert {one["name"]: one for one in after["figures"]}["tpot_ms"]["ratio"] == pytest.approx(1.0, abs=0.02)
    assert main(["plan", str(tmp_path / "spec.yaml"), "--rules", str(tmp_path / "mine"), "--engine", "vllm", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["performance"]["tpot_ms"] == pytest.approx(16.0, rel=0.02)


def test_several_lines_of_json_are_a_result_of_sglang(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = {**VLLM, "backend": "sglang"}
    assert calibrated(tmp_path, json.dumps({**one, "mean_tpot_ms": 1}) + "\n" + json.dumps(one) + "\n", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["candidate"].startswith("sglang/")
    assert found["factor"]["threshold"] == "speed.engine.sglang"


def test_a_result_of_another_engine_is_not_put_beside_the_choice(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert calibrated(tmp_path, {**VLLM, "backend": "lmdeploy"}) == 1
    assert "error[other-engine]" in capsys.readouterr().err


@pytest.mark.parametrize("tpot", [1e-6, 900.0])
def test_a_factor_that_no_engine_has_is_not_written(tpot: float, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert calibrated(tmp_path, {**VLLM, "mean_tpot_ms": tpot}, "--write", str(tmp_path / "mine")) == 0
    told = capsys.readouterr()
    assert "no factor within" in told.out
    assert "nothing to write" in told.err
    assert not (tmp_path / "mine").exists()


NO_RESULTS = [
    json.dumps({**VLLM, "max_concurrency": 1e14}), json.dumps({**VLLM, "total_input_tokens": 1e14}), json.dumps({**VLLM, "completed": float("nan")}),
    "", "{}", "[]", "[1]", "nonsense", '{"completed": 3}', json.dumps({**VLLM, "max_concurrency": None}), '[{"n_prompt": 5, "avg_ts": 3}]',
]  # fmt: skip


@pytest.mark.parametrize("text", NO_RESULTS)
def test_what_is_no_result(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert calibrated(tmp_path, text) == 1
    assert "error[not-a-result]" in capsys.readouterr().err


def test_logs_or_results_and_not_both(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert calibrated(tmp_path, VLLM, str(tmp_path / "start.log")) == 2
    assert main(["calibrate", "--spec", str(tmp_path / "spec.yaml")]) == 2
    assert "--bench" in capsys.readouterr().err

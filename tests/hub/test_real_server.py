"""From a name on the hub to an answer: the real client looks a GGUF repository up, the real llama-server fetches the file at that commit."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hub_server import File, HubServer, Repo
from repositories import TINY, model

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests" / "engines" / "llama_cpp")]
from binaries import folder  # noqa: E402
from server import Server, ServerError, free_port  # noqa: E402

pytestmark = [pytest.mark.llama_cpp, pytest.mark.skipif(shutil.which("bash") is None, reason="serve.sh needs bash")]
SPEC = """model: acme/tiny
hardware: {{gpu: cpu, memory_gib: 8}}
workload: {{concurrency: 1, input_tokens: 100, output_tokens: 50, max_context: 512}}
pin: {{engine: llama.cpp, quantization: gguf-q8_0}}
deploy: {{port: {port}, env: {{MODEL_ENDPOINT: "{url}"}}}}
"""


@pytest.fixture(scope="module")
def programs() -> Path:
    return folder()


@pytest.fixture
def server() -> Iterator[HubServer]:
    raw = (ROOT / "examples/models/tiny-random.gguf").read_bytes()
    with HubServer().running() as hub:
        repo = Repo({"tiny-Q8_0.gguf": File(raw)}, commit="c" * 40, card={"base_model": "acme/tiny"}, quantized_from="acme/tiny")
        hub.repos = {"acme/tiny": model({**TINY, "num_hidden_layers": 1}), "acme/tiny-GGUF": repo}
        yield hub


def test_a_server_starts_from_the_file_at_the_commit(server: HubServer, programs: Path, tmp_path: Path) -> None:
    port = free_port()
    (tmp_path / "spec.yaml").write_text(SPEC.format(port=port, url=server.url))
    mine = {key: value for key, value in os.environ.items() if not key.startswith("HF_") and not key.lower().endswith("_proxy")}
    env = mine | {"HF_ENDPOINT": server.url, "HF_HOME": str(tmp_path / "hf"), "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-m", "generator", "spec.yaml", "-o", "out"], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    server.asked.clear()
    launch = {"PATH": f"{programs}:{os.environ['PATH']}"}
    for left in (2, 1, 0):  # its download gives up at the first connection that fails, which a busy machine may bring about
        try:
            with Server([tmp_path / "out/spec/llama.cpp/serve.sh"], port, environment=launch, cwd=tmp_path) as running:
                running.wait_healthy()
                assert running.request("/v1/models").status == 200
                assert "tiny" in running.request("/props").text
            break
        except ServerError as error:
            if not left or "status code: -1" not in str(error):
                raise
    assert server.asked and all(line.endswith(f"/acme/tiny-GGUF/resolve/{'c' * 40}/tiny-Q8_0.gguf") for line in server.asked), server.asked

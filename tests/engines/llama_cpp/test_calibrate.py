"""`gen-deploy calibrate` on the log of a llama-server that was started here."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("gguf", reason="the PyPI package gguf writes the files")

from binaries import folder
from server import Server, free_port
from tiny_gguf import MODELS, write_tiny_gguf

from generator.cli.main import main

pytestmark = pytest.mark.llama_cpp


@pytest.mark.parametrize("name", sorted(MODELS))
def test_a_log_made_here(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, port = tmp_path / "tiny.gguf", free_port()
    write_tiny_gguf(model, MODELS[name])
    words = ["--log-verbosity", "4", "--ctx-size", "4096", "--parallel", "2", "--flash-attn", "on", "--no-repack", "--fit", "off"]
    with Server([folder() / "llama-server", "--model", model, "--port", str(port), *words], port) as server:
        server.wait_healthy()
        (tmp_path / "start.log").write_text(server.stop().log, encoding="utf-8")
    spec = tmp_path / "tiny.yaml"
    spec.write_text(
        "model: {id: me/tiny, gguf: ./tiny.gguf}\nhardware: {gpu: cpu, host_memory_gib: 8}\nworkload: {profile: dev, input_tokens: 100, output_tokens: 50}\n",
        encoding="utf-8",
    )
    assert main(["calibrate", str(tmp_path / "start.log"), "--spec", str(spec), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["engine"] == "llama.cpp"
    assert found["settings"]["max_num_seqs"] == 2
    terms = {term["term"]: term for term in found["terms"]}
    assert terms["kv_cache"]["predicted"] == pytest.approx(terms["kv_cache"]["logged"], abs=2e-5)
    assert terms["weights"]["predicted"] == pytest.approx(terms["weights"]["logged"], rel=0.03)
    assert 0 <= terms["activations"]["error_percent"] <= 20  # an upper bound, and the model is tiny
    assert found["off"] is None

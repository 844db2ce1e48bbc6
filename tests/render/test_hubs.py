"""Where weights come from: another hub, a mirror, a folder that is there; and health checks behind a proxy."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "decide"))
from plans import book
from plans import plan as planned
from render_plans import candidate, engines
from render_plans import plan as made_plan

from generator.decide.context import resolve
from generator.decide.training import training_job
from generator.render.files import artifacts, job_files
from generator.render.quantize import training_files

MIRROR = {"HF_ENDPOINT": "https://hf-mirror.com/$x 'y'", "HTTPS_PROXY": "http://proxy.corp:3128"}
LINES = ["export HF_ENDPOINT='https://hf-mirror.com/$x '\"'\"'y'\"'\"''", "export HTTPS_PROXY=http://proxy.corp:3128"]
HOSTILE = "/data/my models/$(touch x)/it's `here`"


def files(spec: dict[str, Any]) -> dict[str, str]:
    """The files of a spec's choice, jobs included."""
    found = planned(spec).plan
    assert found.choice is not None, found.rejected[:1]
    every = [*artifacts(found, [found.choice], book()), *job_files(found, [found.choice], book())]
    return {one.path: one.text for one in every}


def service(text: str) -> dict[str, Any]:
    data: dict[str, Any] = yaml.safe_load(text)["services"]
    return next(iter(data.values()))


def ways(hub: str) -> dict[str, dict[str, Any]]:
    """How each engine loads from a hub, of those that say so."""
    return {name: facts["loads_from"][hub] for name, facts in book().section("engines").items() if hub in facts.get("loads_from", {})}


@pytest.mark.parametrize("engine", [name for name, way in ways("modelscope").items() if "env" in way])
@pytest.mark.parametrize("by", ["spec", "variable"])
def test_an_engine_that_loads_from_another_hub_gets_its_variables_and_its_cache(engine: str, by: str) -> None:
    way = ways("modelscope")[engine]
    hub = {"hub": "modelscope"} if by == "spec" else {}
    deploy = {"deploy": {"env": {name: value.lower() for name, value in way["env"].items()}}} if by == "variable" else {}
    found = files({"model": {"id": "Qwen/Qwen3-8B", **hub}, "hardware": {"gpu": "A100-80GB"}, "pin": {"engine": engine, "quantization": "bf16"}, **deploy})
    container = service(found[f"{engine}/compose.yaml"])
    for name, value in way["env"].items():
        assert container["environment"][name].lower() == value.lower()
        assert f"export {name}={container['environment'][name]}" in found[f"{engine}/serve.sh"]
        assert f"export {name}=" in found[f"{engine}/bench.sh"]
    assert container["environment"][way["cache_env"]] == way["cache_path"]
    assert way["cache_path"] in [mount["target"] for mount in container["volumes"]]
    assert "HF_HOME" not in container["environment"]
    assert "HF_TOKEN" not in container["environment"]


def test_every_engine_says_whether_it_loads_from_modelscope() -> None:
    assert set(ways("modelscope")) == set(book().section("engines"))
    for name, way in ways("modelscope").items():
        spec = {"model": {"id": "Qwen/Qwen3-8B", "hub": "modelscope"}, "hardware": {"gpu": "A100-80GB"}, "pin": {"engine": name}}
        rows = {reason.row for rejection in planned(spec).plan.rejected for reason in rejection.reasons}
        assert ("refused" in way) is ("hub-not-loaded" in rows)


def test_a_hub_is_part_of_a_name_in_ollama() -> None:
    model = {"id": "Qwen/Qwen3-8B", "hub": "modelscope", "checkpoints": {"gguf-q4_k_m": "Qwen/Qwen3-8B-GGUF"}}
    pin = {"engine": "ollama", "quantization": "gguf-q4_k_m"}
    found = files({"model": model, "hardware": {"gpu": "A100-80GB"}, "pin": pin})
    assert "\nFROM modelscope.cn/Qwen/Qwen3-8B-GGUF:Q4_K_M\n" in found["ollama/Modelfile"]
    assert "\nFROM hf.co/" in files({"model": "Qwen/Qwen3-8B", "hardware": {"gpu": "A100-80GB"}, "pin": pin})["ollama/Modelfile"]


@pytest.mark.parametrize("engine", [name for name in book().section("engines") if name != "ollama"])
@pytest.mark.parametrize("path", ["/data/models/Qwen3-8B", "./models/Qwen3-8B", "~/Qwen3-8B", HOSTILE])
def test_a_folder_that_is_there_is_loaded_read_only_and_offline(engine: str, path: str) -> None:
    facts = book().section("engines")[engine]
    gguf = "gguf" in facts["formats"]
    path = f"{path}-Q4_K_M.gguf" if gguf else path
    pin = {"engine": engine} if gguf else {"engine": engine, "quantization": "bf16"}
    spec = {"name": "inside", "model": {"id": "meta-llama/Llama-3.1-8B-Instruct", "path": path}, "hardware": {"gpu": "A100-80GB"}, "pin": pin}
    plan = planned(spec).plan
    assert {warning.row for warning in plan.warnings}.isdisjoint({"unpinned", "gated-model"})
    assert plan.spec["model"]["path"] == path
    found = files(spec)
    container, script = service(found[f"{engine}/compose.yaml"]), found[f"{engine}/serve.sh"]
    mount = next(one for one in container["volumes"] if one["target"].startswith("/gen-deploy/model/"))
    assert mount["read_only"] is True
    assert mount["source"].replace("$$", "$").endswith(path.removeprefix("~").removeprefix("."))
    assert mount["target"] in container["command"]
    assert "HF_TOKEN" not in container["environment"]
    for name, value in facts["offline"]["env"].items():
        assert container["environment"][name] == value
        assert f"export {name}={value}\n" in script
    assert "--revision" not in script


def test_ollama_reads_a_file_that_is_there() -> None:
    model = {"id": "Qwen/Qwen3-8B", "path": f"{HOSTILE}.gguf"}
    found = files({"model": model, "hardware": {"gpu": "A100-80GB"}, "pin": {"engine": "ollama", "quantization": "gguf-q4_k_m"}})
    assert f'FROM "{HOSTILE}.gguf"' in found["ollama/Modelfile"] or f"FROM {HOSTILE}.gguf" in found["ollama/Modelfile"]


@pytest.mark.parametrize("pin", [{"engine": "vllm", "quantization": "awq"}, {"engine": "llama.cpp", "quantization": "gguf-q5_k_m"}])
def test_a_job_downloads_from_where_the_spec_says(pin: dict[str, str]) -> None:
    found = files({"model": "Qwen/Qwen2.5-7B-Instruct", "hardware": {"gpu": "A100-80GB"}, "pin": pin, "quantize": {}, "deploy": {"env": MIRROR}})
    assert set(LINES) <= set(found["quantize/run.sh"].splitlines())
    assert set(LINES) <= set(found[f"{pin['engine']}/serve.sh"].splitlines())


def test_a_job_starts_from_the_folder_that_is_there() -> None:
    spec = {"model": {"id": "Qwen/Qwen2.5-7B-Instruct", "path": "./m"}, "hardware": {"gpu": "A100-80GB"}, "pin": {"engine": "vllm", "quantization": "awq"}}
    job = yaml.safe_load(files({**spec, "quantize": {}})["quantize/job.yaml"])
    assert job["model"]["id"].endswith("/m")


def test_a_training_job_downloads_from_where_the_spec_says() -> None:
    from plans import spec_of

    spec = spec_of({"model": "Qwen/Qwen2.5-0.5B-Instruct", "hardware": {"gpu": "A100-80GB"}})
    job = training_job(resolve(spec, book()), "qat", None)
    script = next(one.text for one in training_files(job, "header", "../../..", MIRROR) if one.path.endswith("run.sh"))
    assert set(LINES) <= set(script.splitlines())


class Healthy(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args: object) -> None:
        pass


@pytest.mark.parametrize("engine", engines())
def test_a_health_check_does_not_ask_a_proxy(engine: str) -> None:
    """The check of the Compose file is run behind a proxy that nobody runs."""
    one = candidate(engine)
    text = next(file.text for file in artifacts(made_plan(one), [one], book()) if file.path == f"{engine}/compose.yaml")
    test = service(text)["healthcheck"]["test"][1:]
    if test[0] not in ("python3", "curl"):
        assert engine == "ollama"  # a client in Go, which asks this machine itself whatever the variables say
        return
    with ThreadingHTTPServer(("127.0.0.1", 0), Healthy) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        command = [re.sub(r"127\.0\.0\.1:\d+", f"127.0.0.1:{server.server_port}", word) for word in test]
        nobody = dict.fromkeys(("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY"), "http://127.0.0.1:9")
        env = {name: value for name, value in os.environ.items() if name.lower() != "no_proxy"} | nobody
        done = subprocess.run(command, env=env, timeout=60)
        server.shutdown()
    assert done.returncode == 0

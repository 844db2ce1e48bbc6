"""Compose and `docker run` on a real Docker daemon: the unmodified files go up, become healthy, answer, and go down.

Under the name of the pinned image stands a stub that prints its argv (stub.py)."""

# ruff: noqa: F401, F811 (fixtures are imported by name)
from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path

import pytest
import yaml
from platform_stage import Docker, behind_program, docker, generated, image_tar, own_entry, planned, run, stub_line

SPECS = [
    {"name": "vllm-pair", "model": "Qwen/Qwen3-32B", "hardware": {"gpu": "A100-80GB", "gpus_per_node": 2}, "pin": {"engine": "vllm", "tensor_parallel": 2}},
    {"name": "hostile", "model": "Qwen/Qwen3-8B", "hardware": {"gpu": "L40S-48GB", "devices": [3]}, "pin": {"engine": "vllm"},
     "deploy": {"served_name": "a $(HF_TOKEN) ${HOME} `id` \"b\" 'c' %n 1e3"}},
    {"name": "sgl", "model": "Qwen/Qwen3-8B", "hardware": {"gpu": "L40S-48GB"}, "pin": {"engine": "sglang"}},
    {"name": "llama", "model": "Qwen/Qwen3-8B", "hardware": {"gpu": "RTX4090-24GB"}, "pin": {"engine": "llama.cpp"}},
]  # fmt: skip


def import_image(docker: Docker, tar: Path, image: str) -> None:
    known = run("docker", "images", "--format", "{{.Repository}}:{{.Tag}}", env=docker.env).split()
    if image not in known:
        run("docker", "import", *own_entry(image), str(tar), image, env=docker.env)


def same_argv(told: object, launch_file: Path) -> None:
    """The words behind the program are those of the Compose file, as the plan means them: `python3 -m PACKAGE` is one word to the stub."""
    (service,) = yaml.safe_load(launch_file.read_text(encoding="utf-8"))["services"].values()
    words = [word.replace("$$", "$") for word in (*service.get("entrypoint", ()), *service.get("command", ()))]
    assert isinstance(told, list)
    assert told[1:] == behind_program(words, "entrypoint" in service)


def settled(docker: Docker, name: str, wanted: str, seconds: float) -> None:
    end = time.monotonic() + seconds
    while True:
        state = json.loads(run("docker", "inspect", "--format", "{{json .State}}", name, env=docker.env))
        if (state.get("Health") or {}).get("Status") == wanted:
            return
        assert state["Running"] and time.monotonic() < end, json.dumps(state)[-2000:]
        time.sleep(0.5)


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: str(spec["name"]))
def test_compose(docker: Docker, image_tar: Path, tmp_path: Path, spec: dict[str, object]) -> None:
    place = generated(tmp_path, spec)
    (engine,) = [child for child in place.iterdir() if (child / "compose.yaml").is_file()]
    compose = os.environ.get("COMPOSE_BIN") or run("bash", "tests/hostile/compose.sh").strip()
    env = {**docker.env, "HF_TOKEN": "a-secret", "HTTP_PROXY": "http://127.0.0.1:9"}
    config = json.loads(run(compose, "config", "--format", "json", env=env, cwd=engine))
    (service,) = config["services"].values()
    import_image(docker, image_tar, service["image"])
    try:
        run(compose, "up", "-d", env=env, cwd=engine, timeout=300)
        (name,) = run(compose, "ps", "-q", env=env, cwd=engine).split()
        settled(docker, name, "healthy", 90)
        told = stub_line(run("docker", "logs", name, env=docker.env))
        same_argv(told["argv"], engine / "compose.yaml")
        devices = (spec["hardware"] if isinstance(spec["hardware"], dict) else {}).get("devices")
        gpus = planned(place)["choice"]
        assert isinstance(gpus, dict)
        count = gpus["tensor_parallel"] * gpus["pipeline_parallel"] * gpus["replicas"]
        visible = told["env"]["NVIDIA_VISIBLE_DEVICES"] if isinstance(told["env"], dict) else ""
        assert visible == (",".join(map(str, devices)) if devices else ",".join(map(str, range(count))))
        assert "stub answers" in docker.inside("bash", str(place / "smoke.sh"), "--timeout", "30", HTTP_PROXY=env["HTTP_PROXY"])
    finally:
        subprocess.run([compose, "down", "-v", "-t", "1"], env=env, cwd=engine, capture_output=True, timeout=120, check=False)
    assert not run("docker", "ps", "-aq", env=docker.env).split()
    assert not run("docker", "volume", "ls", "-q", env=docker.env).split()


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: str(spec["name"]))
def test_docker_run(docker: Docker, image_tar: Path, tmp_path: Path, spec: dict[str, object]) -> None:
    place = generated(tmp_path, spec, "--target", "docker", "--target", "compose")
    (script,) = place.glob("*/docker.sh")
    engine = script.parent
    compose = os.environ.get("COMPOSE_BIN") or run("bash", "tests/hostile/compose.sh").strip()
    (service,) = json.loads(run(compose, "config", "--format", "json", env={**docker.env, "HF_TOKEN": "x"}, cwd=engine))["services"].values()
    import_image(docker, image_tar, service["image"])
    started = subprocess.Popen(["bash", str(script)], env={**docker.env, "HF_TOKEN": "a-secret"}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        assert "stub answers" in docker.inside("bash", str(place / "smoke.sh"), "--timeout", "60")
        told = stub_line(run("docker", "logs", str(spec["name"]), env=docker.env))
        same_argv(told["argv"], engine / "compose.yaml")
    finally:
        subprocess.run(["docker", "rm", "-f", str(spec["name"])], env=docker.env, capture_output=True, check=False)
        started.communicate(timeout=60)
        subprocess.run(["docker", "volume", "prune", "-f"], env=docker.env, capture_output=True, check=False)

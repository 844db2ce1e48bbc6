"""Quadlet's files under Podman 5: its own generator makes services of the unmodified files, and their commands run with the stub engine.

systemd is not in there: the test runs each command as systemd would, with its specifiers, and listens on the socket on which systemd waits
for READY=1; `podman healthcheck run` stands for Podman's timer. A CDI file names pretended cards, and each tells that it was asked for."""

# ruff: noqa: F401, F811 (fixtures are imported by name)
from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from platform_stage import behind_program, generated, image_tar, run, stub_line
from podman_stage import Podman, pod, podman

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from platform_readers import unit, unit_words

SPECS: list[dict[str, object]] = [
    {"name": "vllm-one", "model": "Qwen/Qwen3-8B", "hardware": {"gpu": "L40S-48GB", "devices": [3]}, "pin": {"engine": "vllm"},
     "deploy": {"served_name": "a $(HF_TOKEN) ${HOME} `id` \"b\" 'c' %n 1e3", "env": {"N": "1e3", "WORDS": "$A ${B} $$ %n `id` \"b\" 'c' \\"}}},
    {"name": "sgl", "model": "Qwen/Qwen3-32B", "hardware": {"gpu": "A100-80GB", "gpus_per_node": 2}, "pin": {"engine": "sglang", "tensor_parallel": 2}},
    {"name": "llama", "model": "Qwen/Qwen3-8B", "hardware": {"gpu": "RTX4090-24GB"}, "pin": {"engine": "llama.cpp"}},
]  # fmt: skip


def services(podman: Podman, folder: Path) -> dict[str, dict[str, list[str]]]:
    """The services that Podman's generator makes of a folder, by name."""
    generator = podman.path("/usr/libexec/podman/quadlet")
    done = subprocess.run([str(generator), "-dryrun"], env={"QUADLET_UNIT_DIRS": str(folder)}, capture_output=True, text=True, check=True)
    parts = done.stdout.split("\n---")
    assert "unsupported" not in done.stderr and "rror" not in done.stderr, done.stderr
    return {name: unit(text) for name, _, text in (part.lstrip("-").partition("---\n") for part in parts)}


def heard_ready(listener: socket.socket) -> bool:
    """Whether READY=1 comes within the listener's time."""
    with contextlib.suppress(TimeoutError):
        while True:
            if b"READY=1" in listener.recv(4096):
                return True
    return False


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: str(spec["name"]))
def test_services_run(pod: Podman, image_tar: Path, tmp_path: Path, spec: dict[str, object]) -> None:
    name = str(spec["name"])
    place = generated(tmp_path, spec, "--target", "quadlet")
    (file,) = place.glob("*/*.container")
    made = services(pod, file.parent)
    container = unit(file.read_text(encoding="utf-8"))
    own = pod.path(f"/etc/{name}")
    own.mkdir(exist_ok=True)
    for one in file.parent.glob("config.yaml"):
        (own / one.name).write_bytes(one.read_bytes())
    cards = ["all", *map(str, range(8))]
    cdi = {"cdiVersion": "0.5.0", "kind": "nvidia.com/gpu", "devices": [{"name": one, "containerEdits": {"env": [f"CARD_{one}=1"]}} for one in cards]}
    pod.path("/etc/cdi/nvidia.json").write_text(json.dumps(cdi), encoding="utf-8")
    pod.import_image(image_tar, container["Image"][0])

    def words(line: str) -> list[str]:
        for specifier, value in {"%t": "/run", "%N": name, "%E": "/etc"}.items():
            line = line.replace(specifier, value)
        return unit_words(line)

    service = made[f"{name}.service"]
    for required in service.get("Requires", []):
        pod(*words(made[required]["ExecStart"][0]))
    (run_line,) = service["ExecStart"]
    told: list[str] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ready:
        ready.bind(str(pod.stage / "notify"))
        ready.settimeout(2)
        started = threading.Thread(target=lambda: told.append(pod(*words(run_line), env={"NOTIFY_SOCKET": "/run/stage/notify"}, service=name)))
        started.start()
        try:
            for _ in range(60):
                if pod("podman", "ps", "--quiet", f"--filter=name={name}").strip():
                    break
                time.sleep(0.2)
            assert not heard_ready(ready), "ready before it is healthy"
            for _ in range(30):
                pod("podman", "healthcheck", "run", name, check=False)
                if pod("podman", "container", "inspect", "--format={{.State.Health.Status}}", name).strip() == "healthy":
                    break
                time.sleep(0.2)
            assert heard_ready(ready)
        finally:
            started.join(60)
            (pod.stage / "notify").unlink()
    assert told, "podman run failed"
    argv = stub_line(pod("podman", "logs", name))["argv"]
    assert isinstance(argv, list)
    meant = [*container.get("Entrypoint", []), *(word for line in container["Exec"] for word in unit_words(line))]
    assert argv[1:] == behind_program(meant, "Entrypoint" in container)
    env = set(pod("podman", "exec", name, "cat", "/proc/1/environ").rstrip("\0").split("\0"))
    assert {word for line in container["Environment"] for word in unit_words(line)} <= env
    asked = {line.partition("=")[2] for line in container["AddDevice"]}
    assert {f"CARD_{one}=1" for one in asked} == {one for one in env if one.startswith("CARD_")} and asked
    host, port, _ = container["PublishPort"][0].split(":")
    inside = ["nsenter", f"--target={pod.first}", "--net", sys.executable, "-c"]
    asks = f"import urllib.request as r; print(r.build_opener(r.ProxyHandler({{}})).open(r.Request('http://{host}:{port}/v1/completions', b'{{}}')).read())"
    assert "stub answers" in run(*inside, asks)
    pod(*words(service["ExecStop"][0]))
    assert pod("podman", "ps", "--all", "--quiet").strip() == ""

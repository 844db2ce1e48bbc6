"""Kubernetes' files in `podman kube play`: the unmodified Deployment, PersistentVolumeClaim, ConfigMap and probes run with the stub engine.

Podman 5 of Debian's next suite (podman.sh) in namespaces of its own (inside.sh). What it does not do as Kubernetes does, and what stands in:

- Podman runs probes by timers of systemd, which is not in there: the test runs `podman healthcheck run` once a period instead.
- The stub's clock is a file of the volume, which the test moves on by one period a probe: an hour of probes takes half a minute.
- Kubernetes makes a volume's `subPath`; Podman wants it there.
- Podman reads neither GPUs nor `$(X)`, Services or NetworkPolicies: test_apiserver.py and test_platforms.py judge those."""

# ruff: noqa: F401, F811 (fixtures are imported by name)
from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
import yaml
from platform_stage import behind_program, generated, image_tar, stub_line
from podman_stage import Podman, pod, podman

SPECS: list[dict[str, object]] = [
    {"name": "vllm-one", "model": "Qwen/Qwen3-8B", "hardware": {"gpu": "L40S-48GB", "download_mb_per_s": 2000}, "pin": {"engine": "vllm"},
     "deploy": {"env": {"N": "1e3", "WORDS": "a %n `id` \"b\" 'c'"}}},
    {"name": "sgl", "model": "Qwen/Qwen3-8B", "hardware": {"gpu": "L40S-48GB"}, "pin": {"engine": "sglang"}},
    {"name": "llama", "model": "Qwen/Qwen3-8B", "hardware": {"gpu": "RTX4090-24GB"}, "pin": {"engine": "llama.cpp"}},
]  # fmt: skip


class Played:
    """A plan's files in Podman, and the clock of its engine."""

    def __init__(self, podman: Podman, place: Path, image_tar: Path, wait_s: float = 0) -> None:
        self.podman, self.now = podman, 0.0
        (folder,) = place.glob("*/kubernetes")
        kustomization = yaml.safe_load((folder / "kustomization.yaml").read_text(encoding="utf-8"))
        text = "\n---\n".join((folder / name).read_text(encoding="utf-8") for name in kustomization["resources"])
        documents = {document["kind"]: document for document in yaml.safe_load_all(text)}
        (self.container,) = documents["Deployment"]["spec"]["template"]["spec"]["containers"]
        image, name = self.container["image"], documents["Deployment"]["metadata"]["name"]
        self.name = f"{name}-pod-{self.container['name']}"
        podman.import_image(image_tar, image)
        claim = documents["PersistentVolumeClaim"]["metadata"]["name"]
        podman("podman", "volume", "create", claim)
        inside = podman("podman", "volume", "inspect", "--format={{.Mountpoint}}", claim).strip()
        self.volume = podman.path(inside)
        for mount in self.container["volumeMounts"]:
            if mount["name"] == "cache":
                (self.volume / mount["subPath"]).mkdir(parents=True, exist_ok=True)
        self.period = float(self.container["startupProbe"]["periodSeconds"])
        self.tries = int(self.container["startupProbe"]["failureThreshold"])
        if wait_s:
            (self.volume / "cache/stub-wait").write_text(str(wait_s), encoding="utf-8")
            self.clock(0)
        (podman.stage / "all.yaml").write_text(text, encoding="utf-8")
        podman("podman", "kube", "play", "--network=none", "/run/stage/all.yaml")
        self.started = self.state()[1]

    def clock(self, seconds: float) -> None:
        self.now = seconds
        new = self.volume / "cache/stub-clock.new"
        new.write_text(str(seconds), encoding="utf-8")
        new.rename(self.volume / "cache/stub-clock")

    def told(self) -> dict[str, object]:
        for _ in range(50):
            log = self.podman("podman", "logs", self.name)
            if "stub: " in log:
                return stub_line(log)
            time.sleep(0.1)
        pytest.fail("the engine says nothing")

    def probe(self) -> tuple[str, bool]:
        """One probe, as the timer would do it: the health that Podman concludes, and whether the container was restarted since it was played."""
        self.podman("podman", "healthcheck", "run", self.name, check=False)
        health, started = self.state()
        return health, started != self.started

    def state(self) -> tuple[str, str]:
        health, _, started = self.podman("podman", "inspect", "--format={{.State.Health.Status}} {{.State.StartedAt}}", self.name).strip().partition(" ")
        return health, started


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: str(spec["name"]))
def test_pod(pod: Podman, image_tar: Path, tmp_path: Path, spec: dict[str, object]) -> None:
    """The pod starts, its probe finds the port by name, and the engine gets the manifest's words, variables and file."""
    place = generated(tmp_path, spec, "--target", "kubernetes")
    played = Played(pod, place, image_tar)
    argv = played.told()["argv"]
    assert isinstance(argv, list)
    words = [*played.container.get("command", []), *played.container["args"]]
    assert argv[1:] == behind_program(words, "command" in played.container)
    assert played.probe() == ("healthy", False)
    known = json.loads(pod("podman", "inspect", "--format={{json .Config.Env}}", played.name))
    assert {f"{one['name']}={one['value']}" for one in played.container["env"] if "value" in one} <= set(known)
    for mount in played.container["volumeMounts"]:
        if mount["name"] == "config":
            (config,) = [document for document in yaml.safe_load_all((pod.stage / "all.yaml").read_text()) if document["kind"] == "ConfigMap"]
            assert pod("podman", "exec", played.name, "cat", mount["mountPath"]) == config["data"][mount["subPath"]]
    asks = "import urllib.request as r; print(r.urlopen(r.Request('http://127.0.0.1:{port}/v1/completions', b'{{}}')).read().decode())"
    port = played.container["ports"][0]["containerPort"]
    assert "stub answers" in pod("podman", "exec", played.name, "python3", "-c", asks.format(port=port))


@pytest.mark.parametrize(("periods", "restarted"), [(-1, False), (1, True)], ids=["one-period-less", "one-period-more"])
def test_start_up_budget(pod: Podman, image_tar: Path, tmp_path: Path, periods: int, restarted: bool) -> None:
    """A start that takes one period less than the start-up budget is not restarted; one that takes longer is."""
    place = generated(tmp_path, SPECS[0], "--target", "kubernetes")
    (manifest,) = place.glob("*/kubernetes/deployment.yaml")
    (container,) = yaml.safe_load(manifest.read_text(encoding="utf-8"))["spec"]["template"]["spec"]["containers"]
    probe = container["startupProbe"]
    played = Played(pod, place, image_tar, wait_s=probe["periodSeconds"] * (probe["failureThreshold"] + periods))
    played.told()
    for number in range(1, played.tries):
        played.clock(number * played.period)
        health, again = played.probe()
        assert not again, f"restarted after {number} of {played.tries} probes"
        assert health == ("starting" if restarted or number < played.tries - 1 else "healthy")
    played.clock(played.tries * played.period)
    assert played.probe() == ("starting" if restarted else "healthy", restarted)

"""Kubernetes' files in `podman kube play`: the unmodified Deployment, PersistentVolumeClaim, ConfigMap and probes run with the stub engine.

Podman 5 of Debian's next suite (podman.sh) in namespaces of its own (inside.sh). What it does not do as Kubernetes does, and what stands in:

- Podman runs probes by timers of systemd, which is not in there: the test runs `podman healthcheck run` once a period instead.
- The stub's clock is a file of the volume, which the test moves on by one period a probe: an hour of probes takes half a minute.
- Kubernetes makes a volume's `subPath`; Podman wants it there.
- Podman reads neither GPUs nor `$(X)`, Services or NetworkPolicies: test_apiserver.py and test_platforms.py judge those."""

# ruff: noqa: F401, F811 (fixtures are imported by name)
from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from platform_stage import HERE, behind_program, generated, image_tar, needs, own_entry, run, stub_line

SPECS: list[dict[str, object]] = [
    {"name": "vllm-one", "model": "Qwen/Qwen3-8B", "hardware": {"gpu": "L40S-48GB", "download_mb_per_s": 2000}, "pin": {"engine": "vllm"},
     "deploy": {"env": {"N": "1e3", "WORDS": "a %n `id` \"b\" 'c'"}}},
    {"name": "sgl", "model": "Qwen/Qwen3-8B", "hardware": {"gpu": "L40S-48GB"}, "pin": {"engine": "sglang"}},
    {"name": "llama", "model": "Qwen/Qwen3-8B", "hardware": {"gpu": "RTX4090-24GB"}, "pin": {"engine": "llama.cpp"}},
]  # fmt: skip


@dataclass
class Podman:
    """Podman in its namespaces; `stage` is /run/stage there."""

    first: int
    stage: Path

    def __call__(self, *words: str, check: bool = True) -> str:
        enter = ["nsenter", f"--target={self.first}", "--mount", "--pid", "--net", "--ipc", "--uts"]
        env = {"PATH": "/usr/sbin:/usr/bin", "HOME": "/root", "DISABLE_HC_SYSTEMD": "true", "PODMAN_IGNORE_CGROUPSV1_WARNING": "1"}
        done = subprocess.run([*enter, *words], env=env, capture_output=True, text=True, timeout=120, check=False)
        assert not check or done.returncode == 0, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout


def removed(folder: Path) -> bool:
    try:
        folder.rmdir()
    except OSError:
        return False
    return True


@pytest.fixture(scope="module")
def podman() -> Iterator[Podman]:
    needs("unshare", "nsenter", "pivot_root", "ip", "flock", "apt-get")
    root = run("bash", str(HERE / "podman.sh"), timeout=600).strip()
    with tempfile.TemporaryDirectory(prefix="gen-deploy-podman-") as stage:
        outer = subprocess.Popen(
            ["unshare", "--mount", "--pid", "--net", "--ipc", "--uts", "--fork", "--kill-child", str(HERE / "inside.sh"), root, "catatonit", "-P"],
            env={**os.environ, "STAGE": stage},
        )
        try:
            children = Path(f"/proc/{outer.pid}/task/{outer.pid}/children")
            for _ in range(200):
                assert outer.poll() is None, "the namespaces are not there"
                first = children.read_text().split()
                if first and Path(f"/proc/{first[0]}/comm").read_text().strip() == "catatonit":
                    break
                time.sleep(0.1)
            yield Podman(int(first[0]), Path(stage))
        finally:
            outer.kill()
            outer.wait(30)
            for _ in range(50):  # the kernel ends the last processes on its own time
                left = [found for found in sorted(Path("/sys/fs/cgroup").glob("**/libpod_parent/**/"), reverse=True) if not removed(found)]
                if not left:
                    break
                time.sleep(0.1)


@pytest.fixture
def pod(podman: Podman) -> Iterator[Podman]:
    yield podman
    podman("podman", "pod", "rm", "--all", "--force", "--time=2", check=False)
    podman("podman", "volume", "rm", "--all", "--force", check=False)


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
        if podman("podman", "images", "--quiet", image).strip() == "":
            staged = podman.stage / "image.tar"
            if not staged.exists():
                staged.hardlink_to(image_tar)
            podman("podman", "import", "--quiet", *own_entry(image), "/run/stage/image.tar", image)
        claim = documents["PersistentVolumeClaim"]["metadata"]["name"]
        podman("podman", "volume", "create", claim)
        inside = podman("podman", "volume", "inspect", "--format={{.Mountpoint}}", claim).strip()
        self.volume = Path(f"/proc/{podman.first}/root{inside}")
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

    def probe(self) -> str:
        """One probe, as the timer would do it; the health that Podman concludes."""
        self.podman("podman", "healthcheck", "run", self.name, check=False)
        return self.podman("podman", "inspect", "--format={{.State.Health.Status}}", self.name).strip()

    def restarts(self) -> int:
        return sum("stub: " in line for line in self.podman("podman", "logs", self.name).splitlines()) - 1


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: str(spec["name"]))
def test_pod(pod: Podman, image_tar: Path, tmp_path: Path, spec: dict[str, object]) -> None:
    """The pod starts, its probe finds the port by name, and the engine gets the manifest's words, variables and file."""
    place = generated(tmp_path, spec, "--target", "kubernetes")
    played = Played(pod, place, image_tar)
    argv = played.told()["argv"]
    assert isinstance(argv, list)
    words = [*played.container.get("command", []), *played.container["args"]]
    assert argv[1:] == behind_program(words, "command" in played.container)
    assert played.probe() == "healthy"
    known = json.loads(pod("podman", "inspect", "--format={{json .Config.Env}}", played.name))
    assert {f"{one['name']}={one['value']}" for one in played.container["env"] if "value" in one} <= set(known)
    for mount in played.container["volumeMounts"]:
        if mount["name"] == "config":
            (config,) = [document for document in yaml.safe_load_all((pod.stage / "all.yaml").read_text()) if document["kind"] == "ConfigMap"]
            assert pod("podman", "exec", played.name, "cat", mount["mountPath"]) == config["data"][mount["subPath"]]
    asks = "import urllib.request as r; print(r.urlopen(r.Request('http://127.0.0.1:{port}/v1/completions', b'{{}}')).read().decode())"
    port = played.container["ports"][0]["containerPort"]
    assert "stub answers" in pod("podman", "exec", played.name, "python3", "-c", asks.format(port=port))


@pytest.mark.parametrize(("periods", "restarts"), [(-1, 0), (1, 1)], ids=["one-period-less", "one-period-more"])
def test_start_up_budget(pod: Podman, image_tar: Path, tmp_path: Path, periods: int, restarts: int) -> None:
    """A start that takes one period less than the start-up budget is not restarted; one that takes longer is."""
    place = generated(tmp_path, SPECS[0], "--target", "kubernetes")
    (folder,) = place.glob("*/kubernetes")
    probe = yaml.safe_load((folder / "deployment.yaml").read_text(encoding="utf-8"))["spec"]["template"]["spec"]["containers"][0]["startupProbe"]
    budget = probe["periodSeconds"] * probe["failureThreshold"]
    played = Played(pod, place, image_tar, wait_s=budget + periods * probe["periodSeconds"])
    played.told()
    for number in range(1, played.tries + 1):
        played.clock(number * played.period)
        health = played.probe()
        if health == "healthy":
            break
        assert number == played.tries or played.restarts() == 0, f"restarted after {number} of {played.tries} probes"
    assert played.restarts() == restarts
    assert (health == "healthy") is (restarts == 0)
    if restarts == 0:
        assert number == played.tries - 1
        for _ in range(3):  # only liveness from here on
            played.clock(played.now + played.period)
            assert played.probe() == "healthy"
        assert played.restarts() == 0

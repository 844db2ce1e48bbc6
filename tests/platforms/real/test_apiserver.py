"""A real Kubernetes API server judges every object that every example writes for Kubernetes, by `--dry-run=server`, and refuses seeded faults.

apiserver.sh builds it (1.20) and kubectl.sh brings two versions of kubectl. What that server is too old for is asked in the version before,
whose fields are the same: policy/v1beta1 and autoscaling/v2beta2. Pods of a LeaderWorkerSet are judged as PodTemplates; the group itself has
its operator's schema in test_platforms.py, and the alert rules have promtool in test_alerts.py."""

from __future__ import annotations

import json
import os
import re
import secrets
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from platform_stage import HERE, REQUIRED, run

from generator.cli.main import main

ROOT = HERE.parents[2]
EXAMPLES = sorted(path for path in (ROOT / "examples").glob("*.yaml") if path.name != "gen-deploy.yaml")
OLDER = {"policy/v1": "policy/v1beta1", "autoscaling/v2": "autoscaling/v2beta2"}
OPERATORS = ("PodMonitor", "PrometheusRule")


@dataclass
class Server:
    """An API server, and a kubectl that speaks to it."""

    kubectl: str
    options: list[str]

    def __call__(self, *words: str) -> subprocess.CompletedProcess[str]:
        env = {**os.environ, "KUBECONFIG": "/dev/null"}
        return subprocess.run([self.kubectl, *self.options, *words], env=env, capture_output=True, text=True, timeout=300, check=False)

    def judged(self, folder: Path, texts: list[str]) -> subprocess.CompletedProcess[str]:
        """What the server says of manifests, and kubectl of fields that it does not know; nothing is stored."""
        path = folder / "objects.yaml"
        path.write_text("\n---\n".join(map(older, texts)), encoding="utf-8")
        return self("create", "--dry-run=server", "--validate=true", "-f", str(path))


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@pytest.fixture(scope="module")
def api() -> Iterator[list[str]]:
    """The options with which kubectl reaches an API server of this module."""
    wanted = os.environ.get("GEN_DEPLOY_APISERVER") == "required"
    found = subprocess.run([str(HERE / "apiserver.sh"), *([] if wanted else ["--here"])], stdout=subprocess.PIPE, text=True, timeout=3600, check=False)
    if found.returncode != 0 or not (wanted or REQUIRED or os.environ.get("GEN_DEPLOY_PLATFORMS")):
        (pytest.fail if wanted else pytest.skip)("tests/platforms/real/apiserver.sh builds the API server; GEN_DEPLOY_APISERVER=required asks for it")
    programs = Path(found.stdout.strip())
    with tempfile.TemporaryDirectory(prefix="gen-deploy-api-") as name:
        place = Path(name)
        etcd, peer, port = free_port(), free_port(), free_port()
        token = secrets.token_hex(16)
        (place / "tokens.csv").write_text(f'{token},admin,admin,"system:masters"\n', encoding="utf-8")
        run("openssl", "genrsa", "-out", str(place / "key"), "2048")
        store = f"http://127.0.0.1:{etcd}"
        commands = [
            [str(programs / "etcd"), f"--data-dir={place}/etcd", f"--listen-client-urls={store}", f"--advertise-client-urls={store}",
             f"--listen-peer-urls=http://127.0.0.1:{peer}", f"--initial-advertise-peer-urls=http://127.0.0.1:{peer}",
             f"--initial-cluster=default=http://127.0.0.1:{peer}"],
            [str(programs / "kube-apiserver"), f"--etcd-servers={store}", f"--secure-port={port}", "--bind-address=127.0.0.1", f"--cert-dir={place}/certs",
             f"--service-account-key-file={place}/key", f"--service-account-signing-key-file={place}/key", "--authorization-mode=RBAC",
             "--service-account-issuer=https://kubernetes.default.svc", f"--token-auth-file={place}/tokens.csv", "--service-cluster-ip-range=10.0.0.0/24"],
        ]  # fmt: skip
        started: list[subprocess.Popen[bytes]] = []
        options = [f"--server=https://127.0.0.1:{port}", "--insecure-skip-tls-verify", f"--token={token}"]
        kubectl = run("bash", str(HERE / "kubectl.sh"), timeout=300).split()[0]
        try:
            with (place / "log").open("wb") as log:
                started += [subprocess.Popen(command, stdout=log, stderr=log) for command in commands]
            for _ in range(240):
                if Server(kubectl, options)("get", "--raw", "/readyz").returncode == 0:
                    break
                assert all(one.poll() is None for one in started), (place / "log").read_text(errors="replace")[-3000:]
                time.sleep(0.5)
            yield options
        finally:
            for one in reversed(started):
                one.terminate()
                one.wait(60)


@pytest.fixture(scope="module", params=[0, 1], ids=["kubectl-debian", "kubectl-npm"])
def server(api: list[str], request: pytest.FixtureRequest) -> Server:
    return Server(run("bash", str(HERE / "kubectl.sh"), timeout=300).split()[request.param], api)


def older(text: str) -> str:
    """The manifest as it is, but for a version that the server is too old for."""
    for new, old in OLDER.items():
        text = text.replace(f'apiVersion: "{new}"', f'apiVersion: "{old}"')
    return text


def pod_templates(one: dict[str, Any]) -> list[str]:
    """The pods of a LeaderWorkerSet as objects that a server without its operator judges."""
    group, named = one["spec"]["leaderWorkerTemplate"], one["metadata"]
    kinds = ("leaderTemplate", "workerTemplate")
    made = {kind: {"apiVersion": "v1", "kind": "PodTemplate", "metadata": {**named, "name": f"{named['name']}-{kind.lower()}"}} for kind in kinds}
    return [json.dumps({**one, "template": group[kind]}) for kind, one in made.items()]


@pytest.fixture(scope="module")
def manifests(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The objects, unmodified, of every example that Kubernetes can carry."""
    folder = tmp_path_factory.mktemp("examples")
    ollama = folder / "ollama-one.yaml"  # its model is created by a Job; no example starts Ollama on a cluster
    ollama.write_text("model: Qwen/Qwen3-8B\nhardware: {gpu: L4-24GB}\npin: {engine: ollama}\n", encoding="utf-8")
    texts: list[str] = []
    for example in (*EXAMPLES, ollama):
        out = folder / example.stem
        if main([str(example), "-o", str(out), "--quiet", "--target", "kubernetes"]) == 0:
            files = sorted(out.glob("*/*/kubernetes/*.yaml"))
        elif main([str(example), "-o", str(out), "--quiet", "--target", "lws"]) == 0:
            files = sorted(out.glob("*/*/lws.yaml"))
        else:
            continue  # refused: an engine without an image for these GPUs, or one that is not spread
        assert files, example
        texts += [text for path in files for text in re.split(r"^---$", path.read_text(encoding="utf-8"), flags=re.MULTILINE)]
    found: list[str] = []
    for text in texts:
        one = yaml.safe_load(text)
        if one["kind"] == "LeaderWorkerSet":
            found += pod_templates(one)
        elif one["kind"] not in (*OPERATORS, "Kustomization"):
            found.append(text)
    return found


def test_every_object_is_accepted(server: Server, manifests: list[str], tmp_path: Path) -> None:
    read = [yaml.safe_load(text) for text in manifests]
    for namespace in {one["metadata"]["namespace"] for one in read if "namespace" in one["metadata"]}:
        server("create", "namespace", namespace)
    said = server.judged(tmp_path, manifests)
    assert said.returncode == 0, said.stderr
    assert said.stdout.count("created (server dry run)") == len(manifests) >= 200
    kinds = {one["kind"] for one in read}
    assert {"Deployment", "Service", "ServiceAccount", "PersistentVolumeClaim", "ConfigMap", "NetworkPolicy", "Job", "PodTemplate"} <= kinds
    assert {"PodDisruptionBudget", "HorizontalPodAutoscaler"} <= kinds


def changed(text: str, old: str, new: str) -> str:
    assert old in text, old
    return text.replace(old, new, 1)


FAULTS = [
    ("deployment", 'type: "Recreate"', 'type: "Recreated"', "Unsupported value"),
    ("deployment", '"app.kubernetes.io/component": "server"', '"app.kubernetes.io/component": "other"', "does not match template `labels`"),
    ("deployment", 'name: "cache"\n              subPath', 'name: "cash"\n              subPath', 'Not found: "cash"'),
    ("deployment", 'name: "http"\n              containerPort', 'name: "http-of-the-engine"\n              containerPort', "no more than 15 characters"),
    ("deployment", "containerPort: 8000", "containerPort: 80000", "must be between 1 and 65535"),
    ("deployment", "replicas: 4", "replicas: -1", "must be greater than or equal to 0"),
    ("deployment", '"nvidia.com/gpu": "1"\n              cpu', '"nvidia.com/gpu": "2"\n              cpu', "must be equal to nvidia.com/gpu limit"),
    ("deployment", '"nvidia.com/gpu": "1"', '"nvidia.com/gpu": "0.5"', "must be an integer"),
    ("deployment", "failureThreshold: 6", "successThreshold: 2", "must be 1"),
    ("deployment", "failureThreshold: 6", "failureTreshold: 6", "unknown field"),
    ("deployment", 'mountPath: "/dev/shm"', 'mountPath: "/gen-deploy/config.yaml"', "must be unique"),
    ("scaling", "minReplicas: 1", "minReplicas: 9", "must be greater than or equal to `minReplicas`"),
    ("service", "port: 8080", "port: 0", "must be between 1 and 65535"),
    ("service", 'name: "kubernetes-4xl40s"', 'name: "Chat"', "DNS-1035"),
    ("volume", 'storage: "', 'storage: "-', "must be greater than zero"),
    ("networkpolicy", 'protocol: "UDP"', 'protocol: "UTP"', "Unsupported value"),
    ("config", "data:", "date:", "unknown field"),
]
"""A file of the example, its words, wrong ones, and what the server (of a field: kubectl by the server's schema) says."""


@pytest.mark.parametrize(("name", "old", "new", "why"), FAULTS, ids=[f"{name}: {new}" for name, _, new, _ in FAULTS])
def test_a_seeded_fault_is_refused(server: Server, tmp_path: Path, name: str, old: str, new: str, why: str) -> None:
    text = (ROOT / f"examples/out/kubernetes-4xl40s/vllm/kubernetes/{name}.yaml").read_text(encoding="utf-8")
    server("create", "namespace", "llm")
    right = server.judged(tmp_path, [text])
    assert right.returncode == 0, right.stderr
    wrong = server.judged(tmp_path, [changed(text, old, new)])
    assert wrong.returncode != 0, wrong.stdout
    assert why in wrong.stderr

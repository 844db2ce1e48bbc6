"""`verify` finds what no schema sees around a server: each seeded fault, on every platform, and nothing in our own files or in right ones of others."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "cli"))

from command import run

from generator.errors import Problem
from generator.readers.resources import shipped
from generator.rulebook.book import RuleBook, load
from generator.verify.files import NOBODY
from generator.verify.folder import check_paths
from generator.verify.room import FAULTS

HERE = Path(__file__).parent
SPECS = {
    "one": "model: Qwen/Qwen2.5-7B-Instruct\nhardware: {gpu: L40S-48GB, gpus_per_node: 2}\npin: {engine: vllm}\n"
    "deploy: {replicas: 1, targets: [docker, compose, kubernetes, slurm, quadlet, systemd]}\n",
    "copies": "model: Qwen/Qwen2.5-7B-Instruct\nhardware: {gpu: L40S-48GB, gpus_per_node: 1, nodes: 2}\npin: {engine: vllm}\n"
    "deploy: {targets: [kubernetes], replicas: 2}\n",
    "group": "model: deepseek-ai/DeepSeek-R1\nhardware: {gpu: H100-80GB, gpus_per_node: 8, nodes: 2}\npin: {engine: vllm}\ndeploy: {targets: [lws, slurm]}\n",
    "pair": "model: deepseek-ai/DeepSeek-R1\nhardware: {gpu: H100-80GB, gpus_per_node: 8, nodes: 2}\npin: {engine: sglang}\ndeploy: {targets: [lws, slurm]}\n",
}


@pytest.fixture(scope="module")
def rules() -> RuleBook:
    return load("default")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("around")
    for name, text in SPECS.items():
        (folder / f"{name}.yaml").write_text(text)
        assert run(folder / f"{name}.yaml", "-o", folder / "out").code == 0
    return folder / "out"


def found(path: Path, rules: RuleBook) -> list[Problem]:
    """The errors and warnings of a folder or file."""
    report, _, problems = check_paths([path], rules, NOBODY)
    return [one for one in (*report.findings, *problems) if one.severity != "note"]


@pytest.mark.parametrize("name", SPECS)
def test_nothing_is_found_in_our_own(name: str, written: Path, rules: RuleBook) -> None:
    assert found(written / name, rules) == []


LEADER, MEMBER = "copies/vllm/kubernetes/", "group/vllm/lws.yaml"
GPU = '"nvidia.com/gpu": "'
SEEDED = [
    # kubernetes: labels, ports, probes, bounds, volumes
    (LEADER + "service.yaml", 'component": "server"', 'component": "sever"', "selector-without-pods"),
    (LEADER + "service.yaml", 'targetPort: "http"', 'targetPort: "web"', "probe-without-port"),
    (LEADER + "service.yaml", 'targetPort: "http"', "targetPort: 8080", "probe-without-port"),
    (LEADER + "disruption.yaml", 'component": "server"', 'component": "web"', "selector-without-pods"),
    (LEADER + "networkpolicy.yaml", 'managed-by": "gen-deploy"\n  policy', 'managed-by": "helm"\n  policy', "selector-without-pods"),
    (LEADER + "deployment.yaml", 'component": "server"\n  template', 'component": "web"\n  template', "selector-without-pods"),
    (LEADER + "deployment.yaml", 'component": "server"\n      annotations', 'component": "web"\n      annotations', "selector-without-pods"),
    (LEADER + "deployment.yaml", '- name: "http"', '- name: "web"', "probe-without-port"),
    (LEADER + "deployment.yaml", "containerPort: 8000", "containerPort: 8001", None),  # the name counts
    (LEADER + "deployment.yaml", GPU + "1", GPU + "2", "device-request"),
    (LEADER + "deployment.yaml", 'nvidia.com/gpu": "1"\n              cpu', 'amd.com/gpu": "1"\n              cpu', "device-request"),
    (LEADER + "scaling.yaml", "minReplicas: 1", "minReplicas: 3", "replicas-cross"),
    (LEADER + "volume.yaml", "ReadWriteMany", "ReadWriteOnce", "one-node-volume"),
    (LEADER + "volume.yaml", "ReadWriteMany", "ReadWriteOncePod", "one-node-volume"),
    (LEADER + "deployment.yaml", "startupProbe:", "x-startupProbe:", "early-liveness"),
    (LEADER + "deployment.yaml", "failureThreshold: 93", "failureThreshold: 3", "start-too-short"),
    (LEADER + "deployment.yaml", "periodSeconds: 10", "periodSeconds: 1", "start-too-short"),
    (LEADER + "deployment.yaml", "progressDeadlineSeconds: 985", "progressDeadlineSeconds: 60", "start-too-short"),
    (LEADER + "deployment.yaml", "enableServiceLinks: false", "hostNetwork: true", "host-access"),
    (LEADER + "deployment.yaml", "enableServiceLinks: false", "hostIPC: true", "host-access"),
    (LEADER + "deployment.yaml", "allowPrivilegeEscalation: false", "privileged: true", "host-access"),
    (LEADER + "deployment.yaml", 'value: "/root/.cache/huggingface"', 'value: "hf_abcdefghijklmnopqrst"', "secret-in-file"),
    (LEADER + "deployment.yaml", '- name: "HF_HOME"\n              value: "/root/.cache/huggingface"', '- {name: API_KEY, value: k4-99xy}', "secret-in-file"),
    (LEADER + "config.yaml", "tensor-parallel-size: 1", "tensor-parallel-size: 2", "world-size"),
    ("one/vllm/kubernetes/config.yaml", "tensor-parallel-size: 2", "tensor-parallel-size: 1", "idle-devices"),
    # LeaderWorkerSet
    (MEMBER, 'component": "leader"\n  ports', 'component": "worker-0"\n  ports', "selector-without-pods"),
    (MEMBER, 'component": "leader"\n  ports', 'component": "worker"\n  ports', "probe-without-port"),
    (MEMBER, "    size: 2", "    size: 3", "nodes-differ"),
    (MEMBER, "    size: 2", "    size: 4", "idle-devices"),
    (MEMBER, "    size: 2", "    size: 1", "world-size"),
    (MEMBER, "pipeline-parallel-size: 2", "pipeline-parallel-size: 4", "world-size"),
    (MEMBER, 'nvidia.com/gpu": "8"', 'nvidia.com/gpu": "4"', "world-size"),
    (MEMBER, "nnodes: 2", "nnodes: 3", "nodes-differ"),
    (MEMBER, '              - "--node-rank"\n              - "$(LWS_WORKER_INDEX)"\n', "", "rank-missing"),
    (MEMBER, '              - "--master-addr"\n              - "$(LWS_LEADER_ADDRESS)"\n', "", "rank-missing"),
    (MEMBER, "ReadWriteMany", "ReadWriteOnce", "one-node-volume"),
    (MEMBER, "failureThreshold: 1725", "failureThreshold: 60", "start-too-short"),
    ("pair/sglang/lws.yaml", "startupProbe:", "unused:", "early-liveness"),
    ("pair/sglang/lws.yaml", '              - "--dist-init-addr"\n              - "$(LWS_LEADER_ADDRESS):20000"\n', "", "rank-missing"),
    ("pair/sglang/lws.yaml", "enableServiceLinks: false", "hostPID: true", "host-access"),
    # Slurm
    ("group/vllm/slurm.sbatch", "--nodes=2", "--nodes=4", "nodes-differ"),
    ("group/vllm/slurm.sbatch", "--gres=gpu:8", "--gres=gpu:4", "world-size"),
    ("group/vllm/slurm.sbatch", ' --node-rank "$SLURM_NODEID"', "", "rank-missing"),
    ("group/vllm/slurm.sbatch", ' --master-addr "$RENDEZVOUS"', "", "rank-missing"),
    ("pair/sglang/slurm.sbatch", "--gres=gpu:8", "--gres=gpu:h100:2", "world-size"),
    ("pair/sglang/slurm.sbatch", ' --node-rank "$SLURM_NODEID"', "", "rank-missing"),
    ("one/vllm/slurm.sbatch", "--gres=gpu:2", "--gres=gpu:1", "world-size"),
    ("one/vllm/slurm.sbatch", "--host 127.0.0.1", "--api-key k4-99xy", "secret-in-file"),
    # docker and Compose
    ("one/vllm/docker.sh", "--gpus 2", "--gpus 1", "world-size"),
    ("one/vllm/docker.sh", "--gpus 2", "--gpus 'device=0,1,2'", "idle-devices"),
    ("one/vllm/docker.sh", "--gpus 2", "--gpus 2 --privileged", "host-access"),
    ("one/vllm/docker.sh", "--gpus 2", "--gpus 2 --network host", "host-access"),
    ("one/vllm/docker.sh", "--gpus 2", "--gpus 2 --ipc=host", "host-access"),
    ("one/vllm/docker.sh", "--env HF_TOKEN", "--env HF_TOKEN=hf_abcdefghijklmnopqrst", "secret-in-file"),
    ("one/vllm/compose.yaml", "count: 2", "count: 1", "world-size"),
    ("one/vllm/compose.yaml", "count: 2", 'device_ids: ["0"]', "world-size"),
    ("one/vllm/compose.yaml", 'start_period: "925s"', 'start_period: "10s"', "start-too-short"),
    ("one/vllm/compose.yaml", 'start_period: "925s"', 'start_period: "1m5s"', "start-too-short"),
    ("one/vllm/compose.yaml", "HF_TOKEN: null", "HF_TOKEN: hf_abcdefghijklmnopqrst", "secret-in-file"),
    ("one/vllm/compose.yaml", "restart:", "privileged: true\n    restart:", "host-access"),
    ("one/vllm/compose.yaml", "restart:", "network_mode: host\n    restart:", "host-access"),
    # Quadlet and systemd
    ("one/vllm/one.container", "AddDevice=nvidia.com/gpu=all", "AddDevice=nvidia.com/gpu=0", "world-size"),
    ("one/vllm/one.container", "TimeoutStartSec=925", "TimeoutStartSec=90", "start-too-short"),
    ("one/vllm/one.container", "ShmSize=16gb", "Network=host", "host-access"),
    ("one/vllm/one.container", "ShmSize=16gb", "PodmanArgs=--privileged", "host-access"),
    ("one/vllm/one.container", 'Environment="HF_HOME=/root/.cache/huggingface"', "Environment=HF_TOKEN=hf_abcdefghijklmnopqrst", "secret-in-file"),
    ("one/vllm/one.service", "TimeoutStartSec=925", "TimeoutStartSec=1min 30s", "start-too-short"),
    ("one/vllm/one.service", "DynamicUser=yes", "Environment=HF_TOKEN=hf_abcdefghijklmnopqrst", "secret-in-file"),
]  # fmt: skip
"""A file of ours, what stands in it, what is written instead, and what is found."""


@pytest.mark.parametrize(("name", "right", "wrong", "code"), SEEDED)
def test_a_seeded_fault_is_found(name: str, right: str, wrong: str, code: str | None, written: Path, rules: RuleBook) -> None:
    path = written / name
    text = path.read_text()
    assert right in text, name
    try:
        path.write_text(text.replace(right, wrong, 1 if code == "device-request" else -1))
        codes = {one.code for one in found(written / name.split("/")[0], rules)}
    finally:
        path.write_text(text)
    assert codes == set() if code is None else code in codes


def test_there_are_faults_of_every_platform() -> None:
    kinds = {re.sub(r".*/(one\.)?", "", name) if "kubernetes" not in name else "kubernetes" for name, _, _, code in SEEDED if code}
    assert kinds == {"kubernetes", "lws.yaml", "slurm.sbatch", "docker.sh", "compose.yaml", "container", "service"}
    assert sum(code is not None for *_, code in SEEDED) >= 40


PUBLISHED = yaml.safe_load((HERE / "published.yaml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("one", PUBLISHED, ids=lambda one: one["address"].rpartition("/")[2])
def test_nothing_is_invented_on_published_files(one: dict[str, str], tmp_path: Path, rules: RuleBook) -> None:
    """`faults` names what is really wrong in a file, by the platform's own documents; old and short option names are not invented either."""
    (tmp_path / one["name"]).write_text(one["text"])
    report, files, problems = check_paths([tmp_path / one["name"]], rules, NOBODY)
    assert files == 1 and not problems
    codes = {finding.code for finding in report.findings if finding.severity == "error" or finding.code in shipped(FAULTS)["says"]}
    assert sorted(codes) == one.get("faults", [])


def test_ten_published_files_are_right() -> None:
    assert sum("faults" not in one for one in PUBLISHED) >= 10


@pytest.mark.slow
@pytest.mark.parametrize("target", ["script", "compose", "docker", "kubernetes", "lws", "slurm", "quadlet", "systemd"])
def test_nothing_is_found_in_the_files_of_any_example(target: str, tmp_path: Path, rules: RuleBook) -> None:
    """A target that cannot carry an example refuses it."""
    run(*sorted((HERE.parents[1] / "examples").glob("*.yaml")), "-o", tmp_path, "--target", target)
    folders = [one for one in tmp_path.iterdir() if one.is_dir()]
    assert len(folders) >= (1 if target == "lws" else 30)
    assert [str(one) for folder in folders for one in found(folder, rules)] == []

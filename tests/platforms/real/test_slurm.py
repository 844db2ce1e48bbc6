"""The job of a plan on a real Slurm: a controller and four daemons on one machine, with eight pretended GPUs each.

The engine is the stub: each rank prints its argv and its devices, and the head answers."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from platform_stage import HERE, generated, needs, run

NODES = ("n1", "n2", "n3", "n4")
TWO_MACHINES = {"name": "two-machines", "model": "deepseek-ai/DeepSeek-R1", "hardware": {"gpu": "H100-80GB", "gpus_per_node": 8, "nodes": 2}}
CONFIG = """
ClusterName=proof
SlurmctldHost=localhost(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={place}/munge.socket
CredType=cred/munge
SlurmctldPort=26817
SlurmctldPidFile={place}/ctld.pid
SlurmdPidFile={place}/%n.pid
SlurmdSpoolDir={place}/spool-%n
StateSaveLocation={place}/state
SlurmctldLogFile={place}/ctld.log
SlurmdLogFile={place}/%n.log
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SlurmdParameters=config_overrides
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
GresTypes=gpu
ReturnToService=2
KillWait=5
MpiDefault=none
{nodes}
PartitionName=all Nodes=n[1-4] Default=YES MaxTime=INFINITE State=UP
"""


@pytest.fixture(scope="module")
def slurm() -> Iterator[dict[str, str]]:
    """The environment in which Slurm's commands speak to a cluster of this module."""
    needs("slurmctld", "slurmd", "munged", "sbatch", "scancel")
    place = Path(tempfile.mkdtemp(prefix="gen-deploy-slurm-"))
    place.chmod(0o755)
    (place / "state").mkdir()
    engines = place / "bin"
    engines.mkdir()
    shutil.copy(HERE / "stub.py", engines / "vllm")
    (engines / "vllm").chmod(0o755)
    (place / "sglang").mkdir()
    shutil.copy(HERE / "stub.py", place / "sglang" / "launch_server.py")
    for number in range(8):
        device = place / f"gpu{number}"
        os.mknod(device, 0o20666, os.makedev(1, 3))
    nodes = "\n".join(
        f"NodeName={name} NodeHostname=localhost NodeAddr=127.0.0.1 Port={26820 + at} CPUs=256 Boards=1 SocketsPerBoard=2 CoresPerSocket=128"
        f" ThreadsPerCore=1 RealMemory=2000000 Gres=gpu:8" for at, name in enumerate(NODES)
    )  # fmt: skip
    (place / "slurm.conf").write_text(CONFIG.format(place=place, nodes=nodes), encoding="utf-8")
    (place / "gres.conf").write_text(f"NodeName=n[1-4] Name=gpu File={place}/gpu[0-7]\n", encoding="utf-8")
    key = place / "munge.key"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o400)
    hosts = Path("/etc/hosts")
    before = hosts.read_bytes()
    hosts.write_bytes(before + b"".join(f"127.0.0.1 {name} # gen-deploy-proof\n".encode() for name in NODES))
    env = {**os.environ, "SLURM_CONF": f"{place}/slurm.conf", "PATH": f"{engines}:{os.environ['PATH']}", "PYTHONPATH": str(place)}
    munge = ["munged", "--force", f"--key-file={key}", f"--socket={place}/munge.socket", f"--pid-file={place}/munge.pid", f"--log-file={place}/munge.log"]
    started: list[subprocess.Popen[bytes]] = []
    try:
        started.append(subprocess.Popen([*munge, "--foreground", f"--seed-file={place}/munge.seed"]))
        time.sleep(1)
        started.append(subprocess.Popen(["slurmctld", "-D", "-f", env["SLURM_CONF"]], env=env, stderr=subprocess.DEVNULL))
        started += [subprocess.Popen(["slurmd", "-D", "-N", name, "-f", env["SLURM_CONF"]], env=env, stderr=subprocess.DEVNULL) for name in NODES]
        for _ in range(60):
            idle = subprocess.run(["sinfo", "-h", "-t", "idle", "-o", "%D"], env=env, capture_output=True, text=True, check=False).stdout
            if idle.split() == ["4"]:
                break
            time.sleep(0.5)
        else:
            logs = "\n".join(f"== {path.name}\n{path.read_text(errors='replace')[-1500:]}" for path in place.glob("*.log"))
            pytest.fail(f"the cluster is not up\n{logs}")
        yield env
    finally:
        hosts.write_bytes(before)
        for process in reversed(started):
            process.terminate()
        for process in started:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(place, ignore_errors=True)


def until(log: Path, text: str, seconds: float = 60) -> str:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if log.is_file() and text in log.read_text(encoding="utf-8", errors="replace"):
            return log.read_text(encoding="utf-8")
        time.sleep(0.5)
    pytest.fail(f"no {text!r} in {log.read_text(encoding='utf-8', errors='replace') if log.is_file() else log}")


def option(argv: list[str], name: str) -> str | None:
    return argv[argv.index(name) + 1] if name in argv else None


@pytest.mark.parametrize("engine", ["vllm", "sglang"])
def test_two_machines(slurm: dict[str, str], tmp_path: Path, engine: str) -> None:
    place = generated(tmp_path, {**TWO_MACHINES, "name": f"{engine}-two", "pin": {"engine": engine}}, "--target", "slurm")
    tmp_path.chmod(0o755)
    folder = place / engine
    job = run("sbatch", "--parsable", "--output=job.log", "slurm.sbatch", env={**slurm, "HF_TOKEN": "a-secret"}, cwd=folder).strip()
    try:
        text = until(folder / "job.log", "ready at http://")
        starts = [json.loads(line.split("stub: ", 1)[1]) for line in text.splitlines() if "stub: " in line]
        assert len(starts) == 2
        plan = json.loads((place / "plan.json").read_text(encoding="utf-8"))["choice"]
        heads = {(option(one["argv"], "--master-addr") or option(one["argv"], "--dist-init-addr") or "").split(":")[0] for one in starts}
        assert len(heads) == 1 and heads <= set(NODES)
        ranks = {option(one["argv"], "--node-rank") for one in starts}
        assert ranks == {"0", "1"}
        for one in starts:
            assert one["env"]["CUDA_VISIBLE_DEVICES"] == "0,1,2,3,4,5,6,7"
            assert ("--headless" in one["argv"]) == (engine == "vllm" and option(one["argv"], "--node-rank") == "1")
        assert plan["tensor_parallel"] * plan["pipeline_parallel"] == 16
        found = re.search(r"ready at http://[^:]+:(\d+)", text)
        assert found
        assert "stub answers" in run("bash", str(place / "smoke.sh"), "--timeout", "20", env={**slurm, "BASE_URL": f"http://127.0.0.1:{found[1]}"})
        assert "a-secret" not in text
    finally:
        subprocess.run(["scancel", job], env=slurm, check=False)
    for _ in range(60):
        left = subprocess.run(["pgrep", "-f", f"{engine}.*--node-rank|stub.py"], capture_output=True, text=True, check=False).stdout.split()
        if not left and not run("squeue", "-h", "-j", job, "-t", "all", "-o", "%T", env=slurm).replace("CANCELLED", "").strip():
            break
        time.sleep(0.5)
    assert not left


def test_more_gpus_than_a_machine_has(slurm: dict[str, str], tmp_path: Path) -> None:
    place = generated(tmp_path, {**TWO_MACHINES, "name": "nine", "pin": {"engine": "vllm"}}, "--target", "slurm")
    script = place / "vllm" / "slurm.sbatch"
    text = script.read_text(encoding="utf-8").replace("--gres=gpu:8", "--gres=gpu:9")
    script.write_text(text, encoding="utf-8")
    refused = subprocess.run(["sbatch", "--test-only", str(script)], env=slurm, capture_output=True, text=True, cwd=script.parent, check=False)
    assert refused.returncode != 0
    assert "node configuration is not available" in refused.stderr



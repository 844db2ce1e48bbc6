"""What the proofs on real platforms share: the specs that they start, and a private Docker daemon."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from generator.cli.main import main

HERE = Path(__file__).resolve().parent
CGROUP = Path("/sys/fs/cgroup")
REQUIRED = os.environ.get("GEN_DEPLOY_PLATFORMS") == "required"


def needs(*programs: str) -> None:
    """Skips where a program or root is missing; in `.ci/platforms` that is a failure."""
    missing = [name for name in programs if shutil.which(name) is None]
    if os.geteuid() != 0:
        missing.append("root")
    if missing or not (REQUIRED or os.environ.get("GEN_DEPLOY_PLATFORMS")):
        (pytest.fail if REQUIRED else pytest.skip)(f"GEN_DEPLOY_PLATFORMS=1, as root, with {', '.join(missing) or 'all tools there'}")


def generated(folder: Path, spec: dict[str, object], *options: str) -> Path:
    """Writes a spec and its files; the folder of the files."""
    path = folder / f"{spec['name']}.yaml"
    path.write_text(json.dumps(spec), encoding="utf-8")
    assert main([str(path), "-o", str(folder / "out"), *options]) == 0
    return folder / "out" / str(spec["name"])


def planned(place: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads((place / "plan.json").read_text(encoding="utf-8"))
    return found


def stub_line(log: str) -> dict[str, object]:
    """The last start that the stub engine told in a log."""
    lines = [line.split("stub: ", 1)[1] for line in log.splitlines() if "stub: " in line]
    assert lines, log
    found: dict[str, object] = json.loads(lines[-1])
    return found


def own_entry(image: str) -> list[str]:
    """The option of `import` that gives an image its entry point, for the one that is started with its own."""
    return ["--change", 'ENTRYPOINT ["/app/llama-server"]'] if image.startswith("ghcr.io/ggml-org/llama.cpp:") else []


def behind_program(words: list[str], explicit: bool) -> list[str]:
    """What the stub sees behind its own name: `python3 -m PACKAGE` is one word to it, as an explicit entry point is."""
    return words[3 if words[1:2] == ["-m"] else 1 if explicit else 0 :]


def run(*words: str, env: dict[str, str] | None = None, cwd: Path | None = None, timeout: float = 120) -> str:
    """The output of a program that must succeed."""
    done = subprocess.run(words, capture_output=True, text=True, env=env, cwd=cwd, timeout=timeout, check=False)
    assert done.returncode == 0, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="session")
def image_tar() -> Path:
    cache = Path(os.environ.get("GEN_DEPLOY_CACHE") or Path.home() / ".cache" / "gen-deploy") / "platforms"
    return Path(run("bash", str(HERE / "image.sh"), str(cache), timeout=300).strip())


def removed(folder: Path) -> bool:
    """Whether a control group, in which nothing runs any more, is gone."""
    try:
        folder.rmdir()
    except OSError:
        return False
    return True


def remove_groups(*names: str) -> None:
    """Removes what is left of control groups, by the name of the first of each tree."""
    for _ in range(50):  # the kernel ends the last processes on its own time
        found = [folder for name in names for folder in CGROUP.glob(f"**/{name}/**/")]
        left = [folder for folder in sorted(found, reverse=True) if not removed(folder)]
        if not left:
            return
        time.sleep(0.1)


def first_process(outer: subprocess.Popen[bytes], name: str) -> int:
    """The first process of the namespaces that `unshare` opens, once it is the program of that name."""
    for _ in range(300):
        assert outer.poll() is None, "the namespaces are not there"
        found = Path(f"/proc/{outer.pid}/task/{outer.pid}/children").read_text().split()
        if found and Path(f"/proc/{found[0]}/comm").read_text().strip() == name:
            return int(found[0])
        time.sleep(0.1)
    pytest.fail(f"{name} does not start")


@dataclass
class Docker:
    """A daemon in namespaces of its own; `docker` finds it by its socket."""

    env: dict[str, str]
    first: int

    def inside(self, *words: str, **changes: str) -> str:
        """Runs a program in the daemon's network."""
        return run("nsenter", f"--target={self.first}", "--net", *words, env={**self.env, **changes})


@pytest.fixture(scope="session")
def docker() -> Iterator[Docker]:
    """A daemon whose GPU driver is a hook that does nothing. Its processes, mounts, networks and firewall end with its namespaces."""
    needs("dockerd", "docker", "containerd", "runc", "iptables", "unshare", "nsenter", "ip")
    place = Path(tempfile.mkdtemp(prefix="gen-deploy-docker-"))
    hook = place / "bin" / "nvidia-container-runtime-hook"
    hook.parent.mkdir()
    hook.write_text("#!/bin/sh\nexit 0\n", encoding="utf-8")
    hook.chmod(0o755)
    env = {**os.environ, "PATH": f"{hook.parent}:{os.environ['PATH']}", "DOCKER_HOST": f"unix://{place}/docker.sock", "DOCKER_CONFIG": str(place / "client")}
    daemon = ["dockerd", "--data-root", f"{place}/data", "--exec-root", f"{place}/exec", "--pidfile", f"{place}/pid", "--host", env["DOCKER_HOST"]]
    group = f"/gen-deploy-docker-{os.getpid()}"
    unshared = ["unshare", "--mount", "--pid", "--net", "--fork", "--kill-child", "--mount-proc"]
    start = ["sh", "-c", 'ip link set lo up; mount -t tmpfs tmpfs /run; exec "$@"', "sh", *daemon, f"--cgroup-parent={group}"]
    with (place / "log").open("wb") as log:
        outer = subprocess.Popen([*unshared, *start], stdout=log, stderr=log, env=env)
        try:
            first = first_process(outer, "dockerd")
            for _ in range(120):
                if subprocess.run(["docker", "info"], env=env, capture_output=True, check=False).returncode == 0:
                    break
                assert outer.poll() is None, (place / "log").read_text(encoding="utf-8", errors="replace")[-3000:]
                time.sleep(0.5)
            yield Docker(env, first)
        finally:
            outer.kill()
            outer.wait(60)
            remove_groups(group.strip("/"))
            shutil.rmtree(place, ignore_errors=True)

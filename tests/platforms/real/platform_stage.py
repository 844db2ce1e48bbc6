"""What the proofs on real platforms share: the specs that they start, and a private Docker daemon."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from generator.cli.main import main

HERE = Path(__file__).resolve().parent
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


@pytest.fixture(scope="session")
def docker() -> Iterator[dict[str, str]]:
    """The environment in which `docker` speaks to a daemon of its own, whose GPU driver is a hook that does nothing."""
    needs("dockerd", "docker", "containerd", "runc", "iptables")
    place = Path(tempfile.mkdtemp(prefix="gen-deploy-docker-"))
    hook = place / "bin" / "nvidia-container-runtime-hook"
    hook.parent.mkdir()
    hook.write_text("#!/bin/sh\nexit 0\n", encoding="utf-8")
    hook.chmod(0o755)
    env = {**os.environ, "PATH": f"{hook.parent}:{os.environ['PATH']}", "DOCKER_HOST": f"unix://{place}/docker.sock", "DOCKER_CONFIG": str(place / "client")}
    with (place / "log").open("wb") as log:
        daemon = subprocess.Popen(
            ["dockerd", "--data-root", f"{place}/data", "--exec-root", f"{place}/exec", "--pidfile", f"{place}/pid", "--host", env["DOCKER_HOST"]],
            stdout=log, stderr=log, env=env,
        )  # fmt: skip
        try:
            for _ in range(120):
                if subprocess.run(["docker", "info"], env=env, capture_output=True, check=False).returncode == 0:
                    break
                assert daemon.poll() is None, (place / "log").read_text(encoding="utf-8", errors="replace")[-3000:]
                time.sleep(0.5)
            yield env
        finally:
            daemon.terminate()
            daemon.wait(60)
            subprocess.run(["umount", "-R", "-l", f"{place}/data"], capture_output=True, check=False)
            shutil.rmtree(place, ignore_errors=True)

"""Podman 5 of Debian's next suite (podman.sh), in namespaces of its own (inside.sh)."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from platform_stage import CGROUP, HERE, first_process, needs, own_entry, remove_groups, run

CGROUPS = [place / "gen-deploy-proof" for place in (CGROUP / "unified", CGROUP / "systemd") if place.is_dir()] or [CGROUP / "gen-deploy-proof"]


@dataclass
class Podman:
    """Podman in its namespaces; `stage` is /run/stage there."""

    first: int
    stage: Path

    def __call__(self, *words: str, check: bool = True, env: dict[str, str] | None = None, service: str = "") -> str:
        """Runs a program in there; `service` is the control group that systemd would give it."""
        places = [group / f"{service}.service" / "cgroup.procs" for group in CGROUPS] if service else []
        for place in places:
            place.parent.mkdir(parents=True, exist_ok=True)
        join = ["sh", "-c", 'while [ "$1" != -- ]; do echo $$ >"$1"; shift; done; shift; exec "$@"', "sh", *map(str, places), "--"]
        enter = ["nsenter", f"--target={self.first}", "--mount", "--pid", "--net", "--ipc", "--uts"]
        known = {"PATH": "/usr/sbin:/usr/bin", "HOME": "/root", "DISABLE_HC_SYSTEMD": "true", "PODMAN_IGNORE_CGROUPSV1_WARNING": "1", **(env or {})}
        done = subprocess.run([*(join if service else []), *enter, *words], env=known, capture_output=True, text=True, timeout=120, check=False)
        assert not check or done.returncode == 0, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def import_image(self, tar: Path, image: str) -> None:
        """Puts the stub under the name of a pinned image."""
        if self("podman", "images", "--quiet", image).strip() == "":
            staged = self.stage / "image.tar"
            if not staged.exists():
                shutil.copy(tar, staged)
            self("podman", "import", "--quiet", *own_entry(image), "/run/stage/image.tar", image)

    def path(self, inside: str) -> Path:
        """A path in there, seen from here."""
        return Path(f"/proc/{self.first}/root{inside}")


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
            yield Podman(first_process(outer, "catatonit"), Path(stage))
        finally:
            outer.kill()
            outer.wait(30)
            remove_groups("libpod_parent", "gen-deploy-proof")


@pytest.fixture
def pod(podman: Podman) -> Iterator[Podman]:
    yield podman
    podman("podman", "pod", "rm", "--all", "--force", "--time=2", check=False)
    podman("podman", "volume", "rm", "--all", "--force", check=False)

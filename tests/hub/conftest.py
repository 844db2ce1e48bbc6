"""A hub on this machine, and the real client that asks it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hub_server import HubServer

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def server() -> Iterator[HubServer]:
    with HubServer().running() as hub:
        yield hub


@pytest.fixture
def gen_deploy(server: HubServer, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """The command, in a folder of its own, with the variables of people who use a mirror."""
    (tmp_path / "work").mkdir()
    base = {
        **{key: value for key, value in os.environ.items() if not key.startswith(("HF_", "HUGGING"))},
        "HF_ENDPOINT": server.url, "HF_HOME": str(tmp_path / "hf"), "PYTHONPATH": str(ROOT), "NO_PROXY": "127.0.0.1", "HF_HUB_DISABLE_TELEMETRY": "1",
    }  # fmt: skip

    def run(*words: str, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "generator", *words], cwd=tmp_path / "work", env=base | env, capture_output=True, text=True, timeout=120,
        )  # fmt: skip

    return run

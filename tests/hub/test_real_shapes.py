"""Twenty repositories in the shapes of real ones, looked up in one run.

Their config.json are published ones (tests/data/configs). Their headers are constructed from those configs, tensor by tensor with each expert
a tensor of its own, and their data is a hole; so this proves the way of a repository into a plan (indexes, shards, thousands of tensors, quantised
checkpoints), not the sizes of the real repositories, which tests/sizing compares with what was published.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hub_server import File, HubServer, Repo
from repositories import sharded

from generator.architecture.config import from_config
from generator.architecture.shape import ModelArchitecture
from generator.hub.lock import Lock, bytes_of, read_lock
from generator.rulebook.book import load
from generator.sizing.weights import checkpoint_bytes

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = ROOT / "tests" / "data" / "configs"
NAMES = sorted(path.stem for path in CONFIGS.glob("*__*.json"))[:24]
FAMILIES = load("default").section("families")


def tensors(architecture: ModelArchitecture) -> dict[str, tuple[str, list[int]]]:
    """Each matrix of the architecture as 16-bit tensors, spread over its layers."""
    found: dict[str, tuple[str, list[int]]] = {}
    for number, matrix in enumerate((*architecture.matrices, *architecture.unloaded)):
        layers = matrix.layer_last - matrix.layer_first + 1
        for index in range(matrix.count):
            layer, other = matrix.layer_first + index % layers, index // layers
            found[f"model.layers.{layer}.{number}_{matrix.name}.{other}.weight"] = ("BF16", [matrix.rows, matrix.columns])
    return found


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, ModelArchitecture]]:
    work = tmp_path_factory.mktemp("real")
    shapes: dict[str, ModelArchitecture] = {}
    with HubServer().running() as server:
        for name in NAMES:
            config: dict[str, Any] = json.loads((CONFIGS / f"{name}.json").read_text())
            for part in (config, *(one for one in config.values() if isinstance(one, dict))):
                part.pop("quantization_config", None)
            shapes[name] = from_config(config, FAMILIES)
            files = sharded(tensors(shapes[name]), 4)
            server.repos[f"acme/{name}"] = Repo({**files, "config.json": File(json.dumps(config).encode())})
            (work / f"{name.lower().replace('_', '-').replace('.', '-')}.yaml").write_text(
                f"model: acme/{name}\nhardware: {{gpu: B300-288GB, gpus_per_node: 8}}\nworkload: {{max_context: 2048, concurrency: 1}}\n"
            )
        mine = {key: value for key, value in os.environ.items() if not key.startswith("HF_") and not key.lower().endswith("_proxy")}
        env = mine | {"HF_ENDPOINT": server.url, "HF_HOME": str(work / "hf"), "PYTHONPATH": str(ROOT)}
        specs = [path.name for path in sorted(work.glob("*.yaml"))]
        done = subprocess.run([sys.executable, "-m", "generator", "lock", *specs], cwd=work, env=env, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        assert all("/cdn/" in line or not line.endswith(".safetensors") or line.startswith("GET") for line in server.asked)
    return work, shapes


@pytest.fixture(scope="module")
def lock(locked: tuple[Path, dict[str, ModelArchitecture]]) -> Lock:
    return read_lock(locked[0] / "gen-deploy.lock")


def test_there_are_twenty_of_many_families(locked: tuple[Path, dict[str, ModelArchitecture]]) -> None:
    assert len(NAMES) >= 20 and len({one.model_type for one in locked[1].values()}) >= 15


@pytest.mark.parametrize("name", NAMES)
def test_bytes_are_exact_and_the_entry_is_small(name: str, lock: Lock, locked: tuple[Path, dict[str, ModelArchitecture]]) -> None:
    entry, shape = lock.repositories[f"acme/{name}"], locked[1][name]
    methods = load("default").section("methods")
    assert lock.path is not None
    from generator.errors import Place

    counted = bytes_of(entry.tensors, Place(""))
    assert counted == 2 * sum(matrix.parameters for matrix in (*shape.matrices, *shape.unloaded))
    assert abs(counted / checkpoint_bytes(shape, methods["bf16"], "published") - 1) < 0.01
    assert len(entry.tensors) <= 400


def test_the_lock_is_small(locked: tuple[Path, dict[str, ModelArchitecture]]) -> None:
    assert (locked[0] / "gen-deploy.lock").stat().st_size < 10_000 * len(NAMES)

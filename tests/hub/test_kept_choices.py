"""A deployment moves when its owner says so: what the lock chose is kept while it works, whatever rules and catalogue prefer now."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hub_server import HubServer
from repositories import awq, model

pytestmark = pytest.mark.slow  # each test starts several commands, which read the YAML of rules

ROOT = Path(__file__).resolve().parents[2]
SPEC = "model: acme/tiny\nhardware: {gpu: RTX4090-24GB}\n"
NO_VLLM = "table: reject\nrows:\n  - {id: not-vllm, when: {engine: vllm}, because: we do not run it, source: house}\n"
NO_SGLANG = NO_VLLM.replace("vllm", "sglang")
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A project whose rules forbid vLLM."""
    folder = tmp_path / "work"
    (folder / "house").mkdir(parents=True)
    (folder / "spec.yaml").write_text(SPEC)
    (folder / "gen-deploy.yaml").write_text("specs: spec.yaml\nout: out\nrules: house\n")
    (folder / "house/ruleset.yaml").write_text("ruleset: {name: house}\nextends: default\n")
    (folder / "house/sources.yaml").write_text("sources: {house: {title: our own, where: here, read: 2026-11-30}}\n")
    (folder / "house/reject.yaml").write_text(NO_VLLM)
    return folder


@pytest.fixture
def run(work: Path, tmp_path: Path) -> Iterator[Run]:
    mine = {key: value for key, value in os.environ.items() if not key.startswith("HF_") and not key.lower().endswith("_proxy")}
    with HubServer().running() as server:
        server.repos = {"acme/tiny": model(), "acme/tiny-AWQ": awq("acme/tiny")}
        env = mine | {"HF_ENDPOINT": server.url, "HF_HOME": str(tmp_path / "hf"), "PYTHONPATH": str(ROOT)}

        def started(*words: str) -> subprocess.CompletedProcess[str]:
            done = subprocess.run([sys.executable, "-m", "generator", *words], cwd=work, env=env, capture_output=True, text=True, timeout=120)
            assert "Traceback" not in done.stderr, done.stderr
            return done

        yield started


def launch_files(work: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((work / "out/spec/sglang").iterdir())}


def chosen(run: Run) -> dict[str, object]:
    plan: dict[str, object] = json.loads(run("plan", "spec.yaml", "--json").stdout)
    return plan


def test_the_choice_stays_when_the_rules_would_choose_anew(run: Run, work: Path) -> None:
    assert run("lock").returncode == 0
    assert run().returncode == 0
    before = launch_files(work)
    (work / "house/reject.yaml").unlink()
    again = run()
    assert again.returncode == 0 and "warning[newer-choice]" in again.stderr and "vllm 0." in again.stderr
    assert launch_files(work) == before and not (work / "out/spec/vllm").exists()


def test_upgrade_moves_it_and_says_so_first(run: Run, work: Path) -> None:
    assert run("lock").returncode == 0
    (work / "house/reject.yaml").unlink()
    moved = run("lock", "--upgrade")
    assert moved.returncode == 0
    lines = moved.stdout.splitlines()
    assert lines[0].startswith("spec: sglang") and " -> vllm" in lines[0] and lines[1].startswith("gen-deploy.lock")
    assert chosen(run)["choice"]["engine"] == "vllm"  # type: ignore[index]


def test_a_row_of_the_team_that_forbids_it_wins(run: Run, work: Path) -> None:
    assert run("lock").returncode == 0
    (work / "house/reject.yaml").write_text(NO_SGLANG)
    done = run()
    assert done.returncode == 0 and "warning[kept-choice-refused]" in done.stderr and "not-sglang" in done.stderr
    assert (work / "out/spec/vllm").exists()


def test_a_spec_that_asks_something_else_is_decided_anew(run: Run, work: Path) -> None:
    assert run("lock").returncode == 0
    (work / "house/reject.yaml").unlink()
    (work / "spec.yaml").write_text(SPEC + "workload: {concurrency: 3}\n")
    plan = chosen(run)
    assert plan["choice"]["engine"] == "vllm" and "newer-choice" not in str(plan["warnings"])  # type: ignore[index]


def test_a_choice_that_is_still_the_best_changes_nothing(run: Run, work: Path) -> None:
    assert run("lock").returncode == 0
    with_choice = chosen(run)
    lock = json.loads((work / "gen-deploy.lock").read_text())
    assert lock["choices"]["spec"]["decision"]["engine"] == "sglang" and lock["choices"]["spec"]["image"].startswith("lmsysorg/sglang")
    del lock["choices"]
    (work / "gen-deploy.lock").write_text(json.dumps(lock))
    assert chosen(run) == with_choice


def test_the_image_and_the_version_stay(run: Run, work: Path) -> None:
    assert run("lock").returncode == 0
    lock = json.loads((work / "gen-deploy.lock").read_text())
    lock["choices"]["spec"]["image"] = "example.org/kept:1"
    (work / "gen-deploy.lock").write_text(json.dumps(lock))
    assert run().returncode == 0
    assert "example.org/kept:1" in (work / "out/spec/sglang/compose.yaml").read_text()


def test_a_version_that_is_added_moves_only_specs_without_a_lock(run: Run, work: Path) -> None:
    assert run("lock").returncode == 0
    assert run().returncode == 0
    before, version = launch_files(work), chosen(run)["choice"]["engine_version"]  # type: ignore[index]
    (work / "house/sglang.yaml").write_text(
        'engine: sglang\ndefault_version: "0.99.0"\nversions: {"0.99.0": {source: house}}\n'
    )
    assert chosen(run)["choice"]["engine_version"] == version  # type: ignore[index]
    assert run().returncode == 0 and launch_files(work) == before
    (work / "gen-deploy.lock").unlink()
    assert run("lock").returncode == 0
    assert chosen(run)["choice"]["engine_version"] == "0.99.0"  # type: ignore[index]

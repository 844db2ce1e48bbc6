"""A diff over 500 specs: at most 20 s on two cores, and linear in specs. Processor time is measured, since machines are shared."""

from __future__ import annotations

import itertools
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from repository import ENVIRONMENT, put, repository, rules_tree, spec

MODELS = ("Qwen/Qwen2.5-7B-Instruct", "meta-llama/Llama-3.1-70B-Instruct", "Qwen/Qwen3-32B", "meta-llama/Llama-3.1-8B-Instruct", "google/gemma-3-27b-it")
GPUS = (("A100-80GB", 1), ("H100-80GB", 4), ("L4-24GB", 1), ("L40S-48GB", 2), ("RTX4090-24GB", 1), ("cpu", 1), ("A100-40GB", 2))
PROFILES = ("chat", "rag", "batch", "agent", "code", "dev")
CONCURRENCIES = (1, 16, 64)
CORES = 2
BAR_S = 20.0


def corpus(count: int) -> dict[str, str]:
    """So many specs, spread over models, GPUs and workloads."""
    every = list(itertools.product(MODELS, GPUS, PROFILES, CONCURRENCIES))
    found = {}
    for i in range(count):
        model, (gpu, gpus), profile, concurrency = every[i * len(every) // count]
        found[f"specs/s{i:03}.yaml"] = spec(gpu, model, gpus, profile=profile, concurrency=concurrency)
    return found


def processor_time(folder: Path, count: int) -> float:
    """Seconds of all processes that a diff of an edited threshold takes."""
    folder.mkdir()
    rules_tree(folder)
    repository(folder, {**corpus(count), "gen-deploy.yaml": "specs: [specs/*.yaml]\nout: deploy\n"})
    path = folder / "rules/default/thresholds/policy.yaml"
    text = path.read_text(encoding="utf-8")
    put(folder, {"rules/default/thresholds/policy.yaml": text.replace("value: 0.02, source: judgement-headroom", "value: 0.05, source: judgement-headroom")})
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-m", "generator", "diff", "main"], cwd=folder, env={**ENVIRONMENT, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, done.stderr
    assert f"of {count} specs decide differently" in done.stdout
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


@pytest.mark.slow
def test_500_specs(tmp_path: Path) -> None:
    half, whole = processor_time(tmp_path / "half", 250), processor_time(tmp_path / "whole", 500)
    assert whole <= CORES * BAR_S
    assert whole <= 2.5 * half

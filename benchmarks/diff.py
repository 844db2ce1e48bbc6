"""What a diff costs: a threshold is edited in a copy of the rules, and so many specs are compared with the commit before.

    python benchmarks/diff.py                      # 250, 500 and 1,000 specs
    python benchmarks/diff.py --specs 500 --keep there
    python benchmarks/diff.py --specs 500 --against ../main --pairs 5      # in pairs with another checkout: the median of the ratios

The repository is made anew for each count, in a temporary folder. CPU is user and system time of all processes together; the bar is
on it, since a machine that others use too says nothing by the clock.
"""

from __future__ import annotations

import argparse
import itertools
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
MODELS = ("Qwen/Qwen2.5-7B-Instruct", "meta-llama/Llama-3.1-70B-Instruct", "Qwen/Qwen3-32B", "meta-llama/Llama-3.1-8B-Instruct", "google/gemma-3-27b-it")
GPUS = (("A100-80GB", 1), ("H100-80GB", 4), ("L4-24GB", 1), ("L40S-48GB", 2), ("RTX4090-24GB", 1), ("cpu", 1), ("A100-40GB", 2))
PROFILES = ("chat", "rag", "batch", "agent", "code", "dev")
CONCURRENCIES = (1, 16, 64)
SIZES = (2048, 4096, 6000)
BAR_S, BAR_SPECS, CORES = 20.0, 500, 2
THRESHOLDS = "rules/default/thresholds/policy.yaml"
NUMBER = "value: {},\n    source: judgement-headroom"
ENVIRONMENT = {
    **{key: value for key, value in os.environ.items() if not key.startswith("GIT_")},
    "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull, "PYTHONPATH": str(ROOT),
    **{f"GIT_{who}_{what}": "bench@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
}  # fmt: skip


class Cost(NamedTuple):
    """What one diff took, in seconds, and its first line."""

    wall: float
    cpu: float
    verdict: str


def corpus(count: int) -> dict[str, str]:
    """So many specs, spread over models, GPUs and workloads."""
    every = list(itertools.product(SIZES, MODELS, GPUS, PROFILES, CONCURRENCIES))
    found = {}
    for i in range(count):
        context, model, (gpu, gpus), profile, concurrency = every[i * len(every) // count]
        workload = f"{{profile: {profile}, concurrency: {concurrency}, input_tokens: {context // 4}, output_tokens: {context // 8}, max_context: {context}}}"
        found[f"specs/s{i:04}.yaml"] = f"model: {model}\nhardware: {{gpu: {gpu}, gpus_per_node: {gpus}}}\nworkload: {workload}\n"
    return found


def repository(folder: Path, count: int) -> None:
    """A repository with the shipped rules and so many specs, and an edited threshold that is not committed."""
    shutil.copytree(ROOT / "rules", folder / "rules")
    (folder / "specs").mkdir()
    for name, text in {**corpus(count), "gen-deploy.yaml": "specs: [specs/*.yaml]\nout: deploy\n"}.items():
        (folder / name).write_text(text, encoding="utf-8")
    for words in (["init", "--quiet", "--initial-branch=main"], ["add", "--all"], ["commit", "--quiet", "-m", "first"]):
        subprocess.run(["git", *words], cwd=folder, env=ENVIRONMENT, check=True)
    path = folder / THRESHOLDS
    text = path.read_text(encoding="utf-8")
    if text.count(NUMBER.format(0.02)) != 1:
        raise SystemExit(f"{THRESHOLDS} has no {NUMBER.format(0.02)!r} to edit")
    path.write_text(text.replace(NUMBER.format(0.02), NUMBER.format(0.05)), encoding="utf-8")


def diff(folder: Path, root: Path = ROOT) -> Cost:
    """Run the diff of a checkout in a repository."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    command = [sys.executable, "-m", "generator", "diff", "main"]
    done = subprocess.run(command, cwd=folder, env={**ENVIRONMENT, "PYTHONPATH": str(root)}, capture_output=True, text=True, check=False)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise SystemExit(done.stderr)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(wall, cpu, done.stdout.splitlines()[0])


def main() -> int:
    """Measure and print a line per count; 1 where 500 specs take more than the bar on each core."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--specs", type=int, nargs="+", default=[250, 500, 1000])
    parser.add_argument("--keep", type=Path, help="keep the repositories in this folder")
    parser.add_argument("--against", type=Path, metavar="CHECKOUT", help="another checkout to measure in pairs with this one")
    parser.add_argument("--pairs", type=int, default=5)
    options = parser.parse_args()
    late = False
    for count in options.specs:
        with tempfile.TemporaryDirectory() as name:
            folder = (options.keep or Path(name)) / str(count)
            folder.mkdir(parents=True)
            repository(folder, count)
            cost = diff(folder)
            print(f"{count} specs: {cost.wall:.1f} s, CPU {cost.cpu:.1f} s, {1000 * cost.cpu / count:.1f} ms a spec; {cost.verdict}", flush=True)
            if options.against:
                ratios = [diff(folder).cpu / diff(folder, options.against.resolve()).cpu for _ in range(options.pairs)]
                print(f"  CPU against {options.against}: {', '.join(f'{ratio:.2f}' for ratio in ratios)}; median {median(ratios):.2f}", flush=True)
            late |= count == BAR_SPECS and cost.cpu > CORES * BAR_S
    print(f"{BAR_SPECS} specs may take {BAR_S:.0f} s on {CORES} cores, so {CORES * BAR_S:.0f} s of CPU")
    return 1 if late else 0


if __name__ == "__main__":
    sys.exit(main())

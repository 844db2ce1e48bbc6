"""CPU per spec of the main job on many specs: plans, renders and writes N specs in one process, as a user would.

    python benchmarks/throughput.py                      # 1,000 and 10,000 specs on one GPU and on eight
    python benchmarks/throughput.py --specs 200 --gpus 1 --profile

CPU is user and system time of the whole command, its start included; files are written to a temporary folder.
"""

from __future__ import annotations

import argparse
import itertools
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

MODELS = (
    "Qwen/Qwen2.5-7B-Instruct", "Qwen/Qwen2.5-14B-Instruct", "Qwen/Qwen2.5-72B-Instruct", "Qwen/Qwen3-8B", "Qwen/Qwen3-30B-A3B",
    "meta-llama/Llama-3.1-8B-Instruct", "meta-llama/Llama-3.3-70B-Instruct", "google/gemma-3-12b-it", "mistralai/Mistral-Small-24B-Instruct-2501",
    "microsoft/phi-4", "deepseek-ai/DeepSeek-V3", "openai/gpt-oss-20b",
)  # fmt: skip
GPUS = ("A100-80GB", "H100-80GB", "H200-141GB", "L40S-48GB", "L4-24GB", "A10G-24GB", "RTX4090-24GB", "MI300X-192GB", "B200-180GB", "T4-16GB")
PROFILES = ("chat", "batch", "rag", "agent", "code", "dev")


def write_specs(folder: Path, count: int, gpus: int) -> list[str]:
    """`count` specs: every model on every GPU with every profile in a fixed shuffled order, again from the start."""
    mix = list(itertools.product(MODELS, GPUS, PROFILES))
    random.Random(count and 20250101).shuffle(mix)
    names = []
    for number, (model, gpu, profile) in zip(range(count), itertools.cycle(mix), strict=False):
        name = f"spec-{number:05}.yaml"
        text = f"model: {model}\nhardware:\n  gpu: {gpu}\n  gpus_per_node: {gpus}\nworkload:\n  profile: {profile}\n"
        (folder / name).write_text(text, encoding="utf-8")
        names.append(name)
    return names


def run(folder: Path, names: list[str], profile: str | None = None) -> tuple[float, int, int]:
    """Seconds of CPU and the exit code of one run over all specs, and how many of them got files."""
    program = [sys.executable, *(["-m", "cProfile", "-o", profile] if profile else []), "-m", "generator"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    before = os.times()
    done = subprocess.run([*program, *names, "-o", "out", "-q"], cwd=folder, env=environment, stderr=subprocess.DEVNULL, check=False)
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return cpu, done.returncode, sum(1 for _ in (folder / "out").glob("*/plan.json"))


def main() -> None:
    """Measure and print one line per size and number of GPUs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--specs", type=int, nargs="+", default=[1_000, 10_000])
    parser.add_argument("--gpus", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--profile", action="store_true", help="print where the time goes")
    options = parser.parse_args()
    for gpus in options.gpus:
        for count in options.specs:
            with tempfile.TemporaryDirectory() as name:
                folder = Path(name)
                names = write_specs(folder, count, gpus)
                stats = str(folder / "stats") if options.profile else None
                cpu, code, written = run(folder, names, stats)
                print(f"{gpus} GPU, {count:,} specs: {1000 * cpu / count:.2f} ms of CPU per spec ({written:,} written, exit {code})", flush=True)
                if stats:
                    import pstats

                    pstats.Stats(stats).sort_stats("tottime").print_stats(45).sort_stats("cumtime").print_stats(60)


if __name__ == "__main__":
    main()

"""CPU of one cold start, paired with importing the four libraries that it needs.

    python benchmarks/start.py                     # the command on PATH; --command 'python -m generator' for another
    python benchmarks/start.py --runs 40

Runs go in pairs, one of each after the other, so that a busy machine slows both; the median of the pairs' ratios counts. Bars: 1.15 for the
main job, of an installed wheel; with PYTHONDONTWRITEBYTECODE a checkout compiles its modules at each start.
"""

from __future__ import annotations

import argparse
import resource
import shlex
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

IMPORTS = "import click, yaml, jinja2, jsonschema"
SPEC = "model: Qwen/Qwen2.5-7B-Instruct\nhardware:\n  gpu: A100-80GB\n"


def cpu(command: list[str], folder: Path) -> float:
    """Seconds of user and system time of a command."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Measure and print a line per command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=25)
    parser.add_argument("--command", default="gen-deploy")
    options = parser.parse_args()
    command = shlex.split(options.command)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "chat.yaml").write_text(SPEC, encoding="utf-8")
        jobs = {"main job": [*command, "chat.yaml", "-o", "out"], "plan": [*command, "plan", "chat.yaml"], "--version": [*command, "--version"]}
        for title, job in jobs.items():
            cpu(job, folder)
            pairs = [(cpu([sys.executable, "-c", IMPORTS], folder), cpu(job, folder)) for _ in range(options.runs)]
            ratio = statistics.median(ours / theirs for theirs, ours in pairs)
            theirs, ours = (1000 * statistics.median(column) for column in zip(*pairs, strict=True))
            print(f"{title}: {ours:.0f} ms of CPU, {ratio:.2f} times the imports' {theirs:.0f} ms ({options.runs} pairs)", flush=True)


if __name__ == "__main__":
    main()

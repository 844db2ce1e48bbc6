"""Runs of gen-deploy that are killed while they write: what is left is the old set, the new one, or a mixture that does not start.

A test makes a few of these runs; thousands are one command, some twenty a second:

    python tests/killed_writes.py --runs 5000

Each run writes one plan's files, then another's over them in a child process that SIGKILL ends: before a C call chosen at random
(a rename, an open, a write), or after a random time. Exit code 1 where a file was torn, a mixture started, or the next run did not mend it.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import permutations
from pathlib import Path
from types import FrameType
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))

from generator.decide.decision import decide  # noqa: E402
from generator.disk.write import LOCK, write_spec  # noqa: E402
from generator.disk.written import STAGING  # noqa: E402
from generator.readers.document import parse_yaml  # noqa: E402
from generator.render.artifact import Artifact  # noqa: E402
from generator.render.files import artifacts  # noqa: E402
from generator.render.seal import is_seal  # noqa: E402
from generator.rulebook.book import load  # noqa: E402
from generator.spec.deployment import from_document  # noqa: E402

SPECS = {
    "vllm": "model: Qwen/Qwen2.5-7B-Instruct\nhardware: {gpu: L4-24GB}\npin: {engine: vllm}",
    "vllm-longer": "model: Qwen/Qwen2.5-7B-Instruct\nhardware: {gpu: L4-24GB}\nworkload: {max_context: 16384}\npin: {engine: vllm}",
    "sglang": "model: Qwen/Qwen2.5-7B-Instruct\nhardware: {gpu: L4-24GB}\npin: {engine: sglang}",
    "ollama": "model: Qwen/Qwen2.5-7B-Instruct\nhardware: {gpu: L4-24GB}\npin: {engine: ollama}",
    "job": "model: Qwen/Qwen2.5-7B-Instruct\nhardware: {gpu: L4-24GB}\npin: {engine: vllm, quantization: int8}\nquantize: {tool: llm-compressor}",
}
STUB = "#!/bin/bash\nexit 0\n"
STUBS = ("vllm", "python3", "ollama", "curl", "trtllm-serve", "llama-server")
BY_TIME = 0.2
"""The share of runs that a clock ends, not a call."""

Files = dict[str, bytes]
Set = Sequence[Artifact]


def sets() -> dict[str, tuple[Artifact, ...]]:
    """The files of each plan."""
    found, book = {}, load("default")
    for name, text in SPECS.items():
        spec, problems = from_document(parse_yaml(f"name: chat\n{text}\n", "chat.yaml"), Path("chat.yaml"))
        assert spec is not None, problems
        plan = decide(spec, book).plan
        assert plan.choice is not None, name
        found[name] = artifacts(plan, [plan.choice], book, spec_file="chat.yaml")
    return found


def snapshot(folder: Path) -> Files:
    """The files of a spec's folder, but for what a killed run left."""
    paths = [path for path in folder.rglob("*") if path.is_file() and not path.relative_to(folder).parts[0].startswith(STAGING)]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def _unsealed(files: Files) -> Files:
    return {path: data for path, data in files.items() if not is_seal(path)}


def write(out: Path, files: Set) -> None:
    """One run."""
    write_spec(out, "chat", files, force=True)


def in_child(work: Callable[[], object]) -> int:
    """Do something in a process of its own; returns its wait status."""
    child = os.fork()
    if child == 0:
        try:
            work()
            os._exit(0)
        finally:
            os._exit(9)
    return os.waitpid(child, 0)[1]


def killed_at(call: int | None, work: Callable[[], None]) -> int:
    """Do something, and end by SIGKILL before the n-th C call; with None the calls are counted and returned."""
    count = 0

    def profile(frame: FrameType, event: str, what: Any) -> None:
        nonlocal count
        if event == "c_call":
            count += 1
            if count == call:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.setprofile(profile)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


class Kills:
    """A series of killed runs; `counts` says what was left, `faults` what must not be."""

    def __init__(self, base: Path, seed: int) -> None:
        self.base, self.random = base, random.Random(seed)
        self.counts: Counter[str] = Counter()
        self.faults: list[str] = []
        self.sets = sets()
        self.pairs = list(permutations(self.sets, 2))
        self.calls: dict[tuple[str, str], int] = {}
        self.afterwards: dict[tuple[str, str], Files] = {}
        tools = base / "tools"
        tools.mkdir()
        for name in STUBS:
            (tools / name).write_text(STUB)
            (tools / name).chmod(0o755)
        self.env = {"PATH": f"{tools}:/usr/bin:/bin", "HOME": str(base)}

    def run(self) -> None:
        """One killed run over an old set."""
        pair = self.random.choice(self.pairs)
        old, new = (self.sets[name] for name in pair)
        out = self.base / "out"
        shutil.rmtree(out, ignore_errors=True)
        write(out, old)
        before = snapshot(out / "chat")
        if pair not in self.afterwards:
            self._undisturbed(pair)
        if self.random.random() < BY_TIME:
            self._by_time(out, new)
        else:
            total = self.calls[pair]
            call = self.random.randint(*self.random.choice([(1, total), (total // 2, total)]))  # the second half is where files are put in place
            in_child(lambda: killed_at(call, lambda: write(out, new)))
        self._judge(f"{pair[0]} to {pair[1]}", out, before, self.afterwards[pair])
        write(out, new)
        self._mended(pair, out)

    def _undisturbed(self, pair: tuple[str, str]) -> None:
        """What a whole run leaves, and how many calls it takes."""
        apart = self.base / "apart"
        write(apart, self.sets[pair[0]])
        self.calls[pair] = killed_at(None, lambda: write(apart, self.sets[pair[1]]))
        self.afterwards[pair] = snapshot(apart / "chat")
        shutil.rmtree(apart)

    def _by_time(self, out: Path, new: Set) -> None:
        child = os.fork()
        if child == 0:
            try:
                write(out, new)
            finally:
                os._exit(0)
        time.sleep(self.random.random() * 0.015)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)

    def _judge(self, name: str, out: Path, before: Files, after: Files) -> None:
        there = snapshot(out / "chat")
        torn = [p for p, data in there.items() if data not in (before.get(p), after.get(p)) and p != "manifest.json"]
        self.faults += [f"{name}: {path} is torn" for path in torn]
        kind = next((kind for kind, side in (("old", before), ("new", after)) if _unsealed(there) == _unsealed(side)), "mixed")
        self.counts[kind] += 1
        for path in sorted(there):
            starts = self._starts(out / "chat" / path)
            if starts is None:
                continue
            self.counts[f"{kind}, {'started' if starts else 'refused'}"] += 1
            if kind == "mixed" and starts:
                self.faults.append(f"{name}: {path} of a mixed set starts")
            if there == before and not starts:
                self.faults.append(f"{name}: {path} of the old set does not start")

    def _starts(self, path: Path) -> bool | None:
        """Whether a start file starts something; None for other files."""
        if path.name == "compose.yaml":
            return all((path.parent / name).is_file() for name in re.findall(r'- "\./(\S+\.env)"', path.read_text()))
        if path.name not in ("serve.sh", "bench.sh", "run.sh"):
            return None
        done = subprocess.run(["bash", str(path)], env=self.env, cwd=self.base, check=False, capture_output=True, text=True, timeout=60)
        return "run gen-deploy again" not in done.stderr

    def _mended(self, pair: tuple[str, str], out: Path) -> None:
        left = [path.name for path in (out / "chat").iterdir() if path.name.startswith(STAGING)]
        there, after = snapshot(out / "chat"), self.afterwards[pair]
        wrong = sorted(path for path in {**there, **after} if there.get(path) != after.get(path))
        if wrong or left or (out / LOCK).exists():
            self.faults.append(f"{pair[0]} to {pair[1]}: the next run did not mend {[*wrong, *left]}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as base:
        kills = Kills(Path(base), asked.seed)
        for _ in range(asked.runs):
            kills.run()
    print(f"{asked.runs} runs, seed {asked.seed}: " + "; ".join(f"{kind} {count}" for kind, count in sorted(kills.counts.items())))
    print(*kills.faults[:20], f"{len(kills.faults)} faults", sep="\n")
    return 1 if kills.faults else 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python
"""Fuzzes every file that the tool reads: the targets of tests/fuzz/fuzz_targets.py.

    python scripts/fuzz.py                          ten minutes for each target, as many at once as there are processors
    python scripts/fuzz.py --seconds 3600           an hour for each
    python scripts/fuzz.py --target spec --target gguf --seconds 60
    python scripts/fuzz.py --list

Data is changed part by part (YAML and JSON) and byte by byte. With atheris (`pip install atheris`: Linux on x86-64) the changes that
reach new code are kept and changed further; without it, changes are made of the seeds only. Each finding is made smaller and kept as a
file in tests/data/fuzz/TARGET/, where tests/fuzz/test_fuzz_findings.py replays it; of one kind, one. Memory is bounded, and a file that
takes longer than its time is a finding. Ends with 1 where anything was found.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import re
import resource
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests/fuzz")]

FOUND = ROOT / "tests/data/fuzz"
MEMORY = 1 << 30
"""Bytes of address space that a target may take beyond what it has at its start."""

HANGING = 60
"""Seconds after which a target is taken for hanging, whatever it waits for."""

SLACK = 2.0
"""How much longer a file may take here than in the tests: other targets run beside it, and coverage is counted."""

SMALLER = 400
"""Tries to make a finding smaller."""


class TooSlow(BaseException):
    """The time of one file is over."""


class Hunt:
    """Tries files on one target, and keeps what it finds, one of a kind."""

    def __init__(self, name: str, folder: Path, found: Path) -> None:
        from fuzz_targets import BY_NAME

        self.target, self.folder, self.found = BY_NAME[name], folder, found
        self.kinds: dict[str, str] = {}
        self.tries, self.started = 0, time.monotonic()
        self.current = folder / "current"
        work = folder / "work"
        work.mkdir()
        self.work = work
        self.target.prepare(work)
        self.seeds = list(self.target.seeds())
        signal.signal(signal.SIGVTALRM, self._too_slow)

    @staticmethod
    def _too_slow(signum: int, frame: object) -> None:
        raise TooSlow("not done in its time")

    def judge(self, data: bytes) -> str | None:
        """What is wrong with how the target takes it."""
        from fuzz_targets import SECONDS, judged

        self.current.write_bytes(data)
        signal.setitimer(signal.ITIMER_VIRTUAL, 4 * SLACK * SECONDS)
        try:
            return judged(self.target, data, self.work, SLACK)
        except TooSlow as error:  # between two lines of `judged` itself
            return str(error)
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)

    def attempt(self, data: bytes) -> None:
        """Try it; a finding of a new kind is made smaller and kept."""
        self.tries += 1
        what = self.judge(data)
        if what is None:
            return
        kind = kind_of(what)
        if kind in self.kinds:
            return
        small = self._smaller(data, kind)
        name = hashlib.sha256(small).hexdigest()[:12]
        self.kinds[kind] = name
        (self.found / self.target.name).mkdir(parents=True, exist_ok=True)
        (self.found / self.target.name / name).write_bytes(small)
        print(f"FOUND {self.target.name}/{name}: {what}", flush=True)

    def _smaller(self, data: bytes, kind: str) -> bytes:
        tries, size = 0, max(1, len(data) // 2)
        while size and tries < SMALLER:
            at, before = 0, data
            while at < len(data) and tries < SMALLER:
                tries += 1
                less = data[:at] + data[at + size :]
                what = self.judge(less)
                if what is not None and kind_of(what) == kind:
                    data = less
                else:
                    at += size
            size = size // 2 if data == before or size > 1 else 0
        return data


def kind_of(what: str) -> str:
    """Findings of one kind have the same error at the same place; numbers and texts in it do not count."""
    return re.sub(r"[0-9]+|'[^']*'|\"[^\"]*\"", "_", what)[:120]


def hunt(name: str, seconds: float, seed: int, found: Path, guided: bool) -> None:
    """Fuzz one target for so long, and say what it came to."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None) as place:
        os.environ.setdefault("XDG_CACHE_HOME", place)
        Path(place, "seeds").mkdir()
        if guided:
            guided_hunt(name, seconds, seed, Path(place), found)
        from fuzz_changes import changed  # not before atheris, which counts in what is imported after it

        one = Hunt(name, Path(place), found)
        bound_memory()
        chance = random.Random(f"{name}/{seed}")
        for data in one.seeds:
            one.attempt(data)
        pool = one.seeds or [b""]
        while time.monotonic() - one.started < seconds:
            one.attempt(changed(one.target.form, chance.choice(pool), pool, chance))
        report(one)


def guided_hunt(name: str, seconds: float, seed: int, place: Path, found: Path) -> None:
    """The same by atheris, which counts the code that is reached. It ends the process itself."""
    import atheris

    with atheris.instrument_imports(include=["generator"]):
        from fuzz_changes import changed
    one = Hunt(name, place, found)
    bound_memory()
    for number, data in enumerate(one.seeds):
        (place / "seeds" / str(number)).write_bytes(data)

    def mutated(data: bytes, size: int, number: int) -> bytes:
        chance = random.Random(number)
        if chance.random() < 0.4:
            return bytes(atheris.Mutate(data, size))
        return changed(one.target.form, bytes(data), one.seeds, chance)[:size]

    def attempt(data: bytes) -> None:
        one.attempt(data)
        if time.monotonic() - one.started > seconds:
            report(one)
            sys.stdout.flush()
            os._exit(0)

    words = ["fuzz", f"-seed={seed + 1}", f"-max_total_time={int(seconds) + 60}", "-timeout=0", "-rss_limit_mb=0", "-max_len=200000"]
    words += ["-len_control=0", "-verbosity=0", "-print_final_stats=0"]
    atheris.Setup([*words, str(place / "seeds")], attempt, custom_mutator=mutated, enable_python_coverage=True)
    atheris.Fuzz()


def bound_memory() -> None:
    """No more address space than now and a bound: a file that asks for more is a finding."""
    pages = int(Path("/proc/self/statm").read_text().split()[0]) if Path("/proc/self/statm").exists() else 0
    if pages:
        most = pages * resource.getpagesize() + MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (most, most))


def report(one: Hunt) -> None:
    """The last line of a target."""
    seconds = round(time.monotonic() - one.started)
    print("DONE " + json.dumps({"target": one.target.name, "files": one.tries, "seconds": seconds, "findings": one.kinds}), flush=True)


# ---- all of them


def run(name: str, asked: argparse.Namespace, guided: bool) -> dict[str, Any]:
    """One target in a process; a process that hangs or dies is a finding, by the file it had."""
    with tempfile.TemporaryDirectory() as place:
        env = {**os.environ, "TMPDIR": place, "GEN_DEPLOY_FUZZ": place}
        words = [sys.executable, __file__, "--one", name, "--seconds", str(asked.seconds), "--seed", str(asked.seed), "--findings", str(asked.findings)]
        words += ["--guided"] if guided else []
        with Path(place, "log").open("w+") as log:
            process = subprocess.Popen(words, stdout=log, stderr=subprocess.STDOUT, env=env, stdin=subprocess.DEVNULL)
            try:
                code = process.wait(asked.seconds + 10 * HANGING)
            except subprocess.TimeoutExpired:
                process.kill()
                code = process.wait()
            log.seek(0)
            lines = log.read().splitlines()
    for line in lines:
        if line.startswith("FOUND"):
            print(line, flush=True)
    done = next((json.loads(line.removeprefix("DONE ")) for line in lines if line.startswith("DONE ")), None)
    if done is None:
        print(f"{name}: ended with {code}\n" + "\n".join(lines[-15:]), flush=True)
        return {"target": name, "files": 0, "seconds": 0, "findings": {f"ended with {code}": ""}}
    print(f"{name}: {done['files']:,} files in {done['seconds']} s, {len(done['findings'])} findings", flush=True)
    return dict(done)


def main() -> int:
    """Run what is asked for; 1 where anything was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", action="append", help="one of them (--list); may be given again")
    parser.add_argument("--seconds", type=float, default=600, help="for each target (600)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="targets at once")
    parser.add_argument("--findings", type=Path, default=FOUND, help="where findings are kept (tests/data/fuzz)")
    parser.add_argument("--unguided", action="store_true", help="without atheris, even where it is")
    parser.add_argument("--result", type=Path, help="a JSON file with the counts")
    parser.add_argument("--list", action="store_true", help="the targets, and nothing else")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--guided", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        hunt(asked.one, asked.seconds, asked.seed, asked.findings, asked.guided)
        return 0
    import importlib.util

    from fuzz_targets import BY_NAME

    if asked.list:
        print("\n".join(BY_NAME))
        return 0
    guided = importlib.util.find_spec("atheris") is not None and not asked.unguided
    print("with atheris" if guided else "without atheris: changes of the seeds only", flush=True)
    with ThreadPoolExecutor(asked.jobs) as pool:
        results = list(pool.map(lambda name: run(name, asked, guided), asked.target or list(BY_NAME)))
    if asked.result:
        data = {"how": f"python scripts/fuzz.py --seconds {asked.seconds:g}", "guided": guided, "targets": results}
        asked.result.write_text(json.dumps(data, indent=1) + "\n")
    total = sum(len(result["findings"]) for result in results)
    print(f"{sum(result['files'] for result in results):,} files, {total} findings")
    return 1 if total else 0


if __name__ == "__main__":
    sys.exit(main())

"""CPU and memory of `gen-deploy calibrate` on a day's serving log and on hostile files, each as large as is read.

    python benchmarks/calibrate.py
    python benchmarks/calibrate.py --seconds 4 --megabytes 120     # exit 1 where one needs more: what the tests run

CPU is that of the whole command, its start and the plan included.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from generator.calibrate.text import MAX_BYTES, WORDS

STARTED = Path(__file__).resolve().parents[1] / "tests" / "data" / "logs" / "vllm-0.11.0-l4.log"
SPEC = "model: Qwen/Qwen2.5-7B-Instruct\nhardware: {gpu: L4-24GB}\nworkload: {max_context: 8192}\n"

ACCESS = b'(APIServer pid=1) INFO:     127.0.0.1:50214 - "POST /v1/chat/completions HTTP/1.1" 200 OK\n'
STATUS = (
    b"(EngineCore_DP0 pid=2) INFO 10-08 12:00:12 [loggers.py:127] Engine 000: Avg prompt throughput: 12.1 tokens/s, Avg generation "
    b"throughput: 231.4 tokens/s, Running: 3 reqs, Waiting: 0 reqs, GPU KV cache usage: 1.2%, Prefix cache hit rate: 10.1%\n"
)
RESULT = b'{"backend":"vllm","completed":5,"max_concurrency":4,"total_input_tokens":9,"total_output_tokens":9,"output_throughput":3.5,"itls":['


def logs() -> Iterator[tuple[str, bytes]]:
    """Names and what logs repeat; all but the first two are hostile."""
    words = [word.encode() for word in WORDS]
    yield "a day of serving", ACCESS * 3 + STATUS
    yield "a day of serving, coloured", b"\x1b[0;36m" + ACCESS.rstrip(b"\n") + b"\x1b[0m\n"
    yield "blank lines", b"\n"
    yield "carriage returns", b"\r"
    yield "CRLF", b"\r\n"
    yield "NULs", b"\0"
    yield "one line", b"x"
    yield "one line of words", b" ".join(words)
    yield "lines of escapes", b"\x1b[0m" * 9 + b"\n"
    yield "not UTF-8", b"\xff\xfe\n"
    yield "digits like dates", b"2020-" * 12 + b"\n"
    yield "a line for each word", b"".join(word + b"\n" for word in words)
    yield "long lines of every word", b" ".join(words) * 40 + b"\n"
    yield "words without their ends", b"".join(word[:-1] + b"\n" for word in words)
    yield "words without their beginnings", b"".join(word[1:] + b"\n" for word in words)


def results() -> Iterator[tuple[str, bytes, int]]:
    """Names, what results of a benchmark repeat, and how often; all but the first are hostile."""
    yield "every request's times", b"0.012345678901234,", 440_000
    yield "small numbers", b"1,", 490_000
    yield "lists", b"[],", 240_000
    yield "objects", b'{"":0},', 240_000


def fill(file: Path, head: bytes, part: bytes, size: int, tail: bytes = b"") -> None:
    """Write a file of `size` bytes, in pieces: what this process holds would count for those that it starts."""
    block = part * ((1 << 20) // len(part)) if part else b""
    with file.open("wb") as out:
        out.write(head)
        while block and (left := size - out.tell() - len(tail)) > 0:
            out.write(block[: left // len(part) * len(part)] or part[:left])
        out.write(tail)


def cost(words: list[str]) -> tuple[float, float]:
    """Seconds of CPU and MB of memory that a command needed at most."""
    process = subprocess.Popen([sys.executable, "-m", "generator", "calibrate", *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"calibrate {' '.join(words)} ended with {process.returncode}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1000


def main() -> int:
    """Measure, and print a line for each file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=float("inf"))
    parser.add_argument("--megabytes", type=float, default=float("inf"))
    parser.add_argument("--only", nargs="*", metavar="NAME", help="these files; without it all")
    options = parser.parse_args()
    over = 0
    with tempfile.TemporaryDirectory() as name:
        spec, file = Path(name, "chat.yaml"), Path(name, "file")
        spec.write_text(SPEC, encoding="utf-8")
        started = STARTED.read_bytes()

        def measure(title: str, *words: str) -> int:
            seconds, memory = cost(["--spec", str(spec), *words, str(file)])
            print(f"{title:<32}{file.stat().st_size >> 20:>4} MiB {seconds:>6.2f} s {memory:>6.0f} MB", flush=True)
            return int(seconds > options.seconds or memory > options.megabytes)

        for title, part in [("the start alone", b""), *logs()]:
            if options.only and title not in options.only:
                continue
            fill(file, started, part, MAX_BYTES)
            over += measure(title)
        for title, part, times in results():
            if options.only and title not in options.only:
                continue
            fill(file, RESULT, part, len(RESULT) + len(part) * times + 3, b"0]}")
            over += measure(title, "--bench")
    return 1 if over else 0


if __name__ == "__main__":
    sys.exit(main())

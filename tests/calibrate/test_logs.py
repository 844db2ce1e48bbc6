"""What is read from start-up logs, of every engine and era, and from hostile files."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generator.calibrate.logs import WORDS, parse_log, read_log
from generator.calibrate.text import MAX_LINE, sift
from generator.engines.start_log import Logged
from generator.errors import InputError

LOGS = Path(__file__).resolve().parents[1] / "data" / "logs"

CASES: dict[str, tuple[str, str | None, dict[str, float], dict[str, object]]] = {
    "vllm-0.7.3-a10g.log": (
        "vllm",
        None,
        {"weights": 14.99, "runtime": 0.05, "activations": 0.22, "kv_cache": 4.60, "kv_tokens": 37696, "capacity": 22.07},
        {"gpu_memory_utilization": 0.9},
    ),
    "vllm-0.11.0-l4.log": (
        "vllm",
        "0.11.0",
        {"weights": 14.9889, "kv_cache": 4.75, "kv_tokens": 38944, "cuda_graphs": 0.38},
        {
            "max_num_seqs": 128,
            "max_num_batched_tokens": 2048,
            "max_model_len": 32000,
            "gpu_memory_utilization": 0.92,
            "enforce_eager": False,
            "tensor_parallel": 1,
        },
    ),
    "vllm-0.19.0-h100.log": (
        "vllm",
        "0.19.0",
        {"weights": 14.99, "activations": 1.89, "runtime": 0.25, "kv_cache": 58.11, "kv_tokens": 476000, "capacity": 79.19},
        {"max_num_seqs": 1024, "max_num_batched_tokens": 8192, "gpu_memory_utilization": 0.95},
    ),
    "vllm-0.27-rtx5090.log": (
        "vllm",
        None,
        {"activations": 0.33, "cuda_graphs": 0.81, "kv_cache": 3.0, "kv_tokens": 12272, "capacity": 31.36},
        {"gpu_memory_utilization": 0.7},
    ),
    "vllm-0.31.0-h200.log": ("vllm", "0.31.0", {"weights": 5.38, "kv_cache": 34.79, "kv_tokens": 651504}, {}),
    "sglang-0.4.3-l4x4.log": (
        "sglang",
        None,
        {"weights": 15.54, "kv_cache": 2.84, "kv_tokens": 46611, "cuda_graphs": 0.93},
        {"tensor_parallel": 4, "gpu_memory_utilization": 0.85, "max_num_batched_tokens": 2048, "max_model_len": 131072},
    ),
    "llama.cpp-b7772-t4.log": (
        "llama.cpp",
        "b7772",
        {"weights": 12036.68 / 1024, "kv_cache": 438 / 1024, "activations": 1593.5 / 1024},
        {"max_model_len": 16384, "max_num_batched_tokens": 2048},
    ),
    "llama.cpp-b7896-rtx3090.log": (
        "llama.cpp",
        "b7896",
        {"weights": 8148.38 / 1024, "kv_cache": 6.0, "activations": 307 / 1024},
        {"max_model_len": 32768, "max_num_seqs": 1, "slots": 4},
    ),
    "ollama-0.20.2-rtx3060.log": (
        "ollama",
        "0.20.2",
        {"weights": 4168.09 / 1024, "kv_cache": 1.8, "activations": 1.8},
        {"max_model_len": 32768, "max_num_seqs": 1},
    ),
}


def parsed(text: str | bytes) -> Logged | None:
    return parse_log(sift(io.BytesIO(text if isinstance(text, bytes) else text.encode()), WORDS))


@pytest.mark.parametrize("name", CASES)
def test_what_a_log_says(name: str) -> None:
    engine, version, figures, settings = CASES[name]
    logged = read_log(LOGS / name)
    assert (logged.engine, logged.version) == (engine, version)
    assert {term: figure.value for term, figure in logged.figures.items() if term in figures} == pytest.approx(figures)
    assert {key: logged.settings[key] for key in settings} == settings
    lines = (LOGS / name).read_text(encoding="utf-8").splitlines()
    assert all(any(c.isdigit() for c in lines[figure.line - 1]) for figure in logged.figures.values())


def test_every_committed_log_is_a_case() -> None:
    assert {path.name for path in LOGS.glob("*.log")} == set(CASES)


def test_dates() -> None:
    assert read_log(LOGS / "sglang-0.4.3-l4x4.log").date == "2025-03-08"
    assert read_log(LOGS / "vllm-0.11.0-l4.log").date is None


def test_weights_of_the_fullest_rank_and_the_smallest_pool() -> None:
    lines = [
        "(Worker_TP0 pid=1) INFO [gpu_model_runner.py:1] Model loading took 4.2 GiB and 3 seconds",
        "(Worker_TP1 pid=2) INFO [gpu_model_runner.py:1] Model loading took 4.4 GiB and 3 seconds",
        "(Worker_TP0 pid=1) INFO [gpu_worker.py:1] Available KV cache memory: 10.5 GiB",
        "(Worker_TP1 pid=2) INFO [gpu_worker.py:1] Available KV cache memory: 10.1 GiB",
    ]
    logged = parsed("\n".join(lines))
    assert logged is not None
    assert (logged.figures["weights"].value, logged.figures["kv_cache"].value) == (4.4, 10.1)
    assert (logged.figures["weights"].line, logged.figures["kv_cache"].line) == (2, 4)


def test_colours_and_progress_bars_change_nothing() -> None:
    text = (LOGS / "vllm-0.11.0-l4.log").read_text(encoding="utf-8")
    coloured = "\n".join(f"\x1b[1;32mINFO\x1b[0m \x1b]0;title\x07{line}\x1b[K\r" for line in text.splitlines())
    logged = parsed(coloured)
    assert logged is not None
    assert {term: figure.value for term, figure in logged.figures.items()} == {
        term: figure.value for term, figure in read_log(LOGS / "vllm-0.11.0-l4.log").figures.items()
    }


def test_a_log_that_stops_in_the_middle() -> None:
    text = (LOGS / "vllm-0.19.0-h100.log").read_text(encoding="utf-8")
    for size in range(0, len(text), 97):
        logged = parsed(text[:size])
        assert logged is None or all(figure.value >= 0 for figure in logged.figures.values())


@pytest.mark.parametrize(
    "raw",
    [
        b"", b"\x00" * 4096, os.urandom(1 << 16), b"\xff\xfe" * 1000, b"hello\nworld\n",
        b"Available KV cache memory: 99999999999999999999999999999999 GiB\n" * 3, b"Model loading took ......... GiB\n" * 9,
    ],
    ids=["empty", "zeros", "noise", "utf-16", "nothing", "huge number", "dots"],
)  # fmt: skip
def test_junk_is_refused_or_harmless(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "junk.log"
    path.write_bytes(raw)
    try:
        logged = read_log(path)
    except InputError as error:
        assert "unknown-log" in str(error)
    else:
        assert all(figure.value < 1e13 for figure in logged.figures.values())


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\x1b[0m\n"])
def test_a_day_of_serving_around_a_start_changes_nothing(name: str, end: str) -> None:
    """Lines of a serving engine before and after, across blocks: the same figures, on lines that much further down."""
    start = (LOGS / name).read_text(encoding="utf-8").splitlines()
    before, after = [f'INFO: 10.0.0.1:{n} - "POST /v1/completions HTTP/1.1" 200 OK' for n in range(9_000)], ["é" * 99] * 9_000
    logged, alone = parsed(end.join((*before, *start, *after))), parsed("\n".join(start))
    assert logged is not None and alone is not None
    assert {term: figure._replace(line=figure.line - 9_000) for term, figure in logged.figures.items()} == alone.figures
    assert replace(logged, figures=alone.figures) == alone


@pytest.mark.parametrize("word", WORDS)
def test_a_flood_of_one_word_hides_no_line_of_another(word: str) -> None:
    lines = ["Model loading took 4.2 GiB and 3 seconds", "llama_context: n_ctx = 8", "Load weight end. avail mem=1 GB, mem usage=2 GB"]
    flood = (word + "\n") * 200_000
    found = {line.text for line in sift(io.BytesIO((flood + "\n".join(lines)).encode()), WORDS)}
    assert {line for line in lines if word not in line} <= found
    assert len(found) <= 4


@given(st.lists(st.sampled_from([b"args", b"x", b"\r", b"\n", b"\r\n", b"\xff", b"\x1b[0m", b"y" * 40]), max_size=60), st.integers(1, 9))
def test_lines_are_numbered_wherever_the_blocks_end(parts: list[bytes], size: int) -> None:
    class Dribbling(io.BytesIO):
        def read(self, most: int | None = -1) -> bytes:
            return super().read(min(size, most or 0))

    raw = b"".join(parts)
    lines = re.split(r"\r\n|\n|\r", raw.decode("utf-8", "replace"))
    expected = [(number, line.replace("\x1b[0m", "")) for number, line in enumerate(lines, 1) if "args" in line]
    assert sift(Dribbling(raw), {"args": 1_000}) == expected


def test_only_the_head_of_a_line_counts() -> None:
    (line,) = sift(io.BytesIO(b"x" * 3_000_000 + b"\nargs" + b"y" * 3_000_000 + b" args"), {"args": 9})
    assert line.number == 2 and line.text.startswith("args") and len(line.text) == MAX_LINE


@pytest.mark.slow
def test_any_file_up_to_the_limit_takes_little_time_and_memory() -> None:
    """Some files of the benchmark; its own bars are 2 s and 100 MB on a machine with nothing else to do."""
    script = Path(__file__).resolve().parents[2] / "benchmarks" / "calibrate.py"
    files = ("a day of serving", "carriage returns", "digits like dates", "a line for each word", "objects")
    words = (sys.executable, script, "--seconds", "5", "--megabytes", "100", "--only", *files)
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and done.stdout.count("\n") == len(files), done.stdout + done.stderr


def test_what_cannot_be_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "missing.log", tmp_path, tmp_path / "pipe"):
        with pytest.raises(InputError):
            read_log(path)

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

from generator.calibrate.text import MAX_LINE, WORDS, parse_log, read_log, sift
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
    # excerpts as people post them: a line or a table, and nothing of how the server was started
    "vllm-excerpt-usage-16gb.log": (
        "vllm",
        None,
        {"consumed": 10.47, "activations": 0.79, "cuda_graphs": 0.04, "kv_cache": 3.01, "capacity": 15.51},
        {"gpu_memory_utilization": 0.92},
    ),
    "vllm-excerpt-wrapped-rtx6000d.log": (
        "vllm",
        None,
        {"consumed": 43.21, "activations": 0.92, "kv_cache": 34.76, "capacity": 83.05},
        {"gpu_memory_utilization": 0.95},
    ),
    "vllm-excerpt-llama8b-h100.log": (
        "vllm",
        None,
        {"weights": 15.0, "runtime": 0.26, "activations": 1.44, "cuda_graphs": 0.23, "kv_cache": 56.21, "kv_tokens": 460496},
        {"gpu_memory_utilization": 0.92},
    ),
    "vllm-excerpt-glm-5.3-flash-h200.log": (
        "vllm",
        None,
        {"weights": 38.24, "runtime": 1.74, "activations": 4.04, "cuda_graphs": 1.2, "kv_cache": 81.79, "kv_tokens": 7228559, "capacity": 139.8},
        {"gpu_memory_utilization": 0.9},
    ),
    "vllm-excerpt-flash-next-pro6000.log": ("vllm", None, {"consumed": 74.75, "activations": 1.85, "cuda_graphs": 0.28, "kv_cache": 11.76}, {}),
    "vllm-excerpt-35b-rtx5090.log": (
        "vllm",
        "0.24.0",
        {"kv_cache": 5.98, "kv_tokens": 567978},
        {"max_model_len": 131072, "max_num_seqs": 1, "max_num_batched_tokens": 8192, "kv_cache_dtype": "fp8"},
    ),
    "sglang-excerpt-hybrid-2x3090.log": (
        "sglang",
        None,
        {"weights": 8.85, "kv_cache": 5.0 + 4.48, "kv_tokens": 327310, "cuda_graphs": 0.26},
        {"max_num_seqs": 62, "max_model_len": 262144, "max_num_batched_tokens": 2048},
    ),
    "sglang-excerpt-windows.log": ("sglang", None, {"kv_cache": 39.91, "kv_tokens": 968726}, {}),
    "tensorrt-llm-1.1.0rc3-gb10.log": (
        "tensorrt-llm",
        "1.1.0rc3",
        {"weights": 63.52, "activations": 0.29, "runtime": 49.28, "kv_cache": 5.95, "kv_tokens": 86720, "capacity": 119.7},
        {"gpu_memory_utilization": 0.9, "max_model_len": 86720, "max_num_seqs": 64, "max_num_batched_tokens": 8192},
    ),
    "tensorrt-llm-excerpt-pool.log": ("tensorrt-llm", None, {"kv_cache": 41.11, "capacity": 139.81}, {"gpu_memory_utilization": 0.85}),
    "llama.cpp-b9849-slots-rtx3080ti.log": (
        "llama.cpp",
        None,
        {"weights": 5133.63 / 1024, "kv_cache": 457 / 1024, "activations": 416.44 / 1024},
        {"max_model_len": 8192, "max_num_seqs": 1, "slots": 4},
    ),
    "llama.cpp-excerpt-table-rtx5090.log": (
        "llama.cpp",
        None,
        {"weights": 28609 / 1024, "kv_cache": 397 / 1024, "activations": 358 / 1024, "runtime": 2183 / 1024, "capacity": 32606 / 1024},
        {},
    ),
    "llama.cpp-excerpt-probe-rtx5060ti.log": (
        "llama.cpp",
        None,
        {"weights": 14736 / 1024, "kv_cache": 72 / 1024, "activations": 493 / 1024, "capacity": 15841 / 1024},
        {},
    ),
    "llama.cpp-excerpt-probe-8x3090.log": (
        "llama.cpp",
        None,
        {"kv_cache": 296 / 1024, "activations": 1617 / 1024, "capacity": 24123 / 1024},
        {},
    ),
    "ollama-excerpt-gpt-oss-120b-rocm.log": (
        "ollama",
        None,
        {"kv_cache": 9306 / 1024},
        {"max_num_seqs": 2, "max_model_len": 131072, "max_num_batched_tokens": 1024},
    ),
    "ollama-excerpt-gemma3-780m.log": (
        "ollama",
        None,
        {"weights": 16.2, "kv_cache": 1.6, "activations": 1.1},
        {"max_num_seqs": 2, "max_model_len": 4096},
    ),
    "ollama-excerpt-expected-m2.log": ("ollama", None, {"weights": 21.7, "kv_cache": 17.6, "activations": 8.1}, {}),
}

NOTES = {
    "llama.cpp-b9849-slots-rtx3080ti.log": "4 slots share one cache",
    "ollama-excerpt-gemma3-780m.log": "kv_cache: what Ollama expected",
    "ollama-excerpt-expected-m2.log": "weights: what Ollama expected",
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


@pytest.mark.parametrize("name", NOTES)
def test_what_a_reader_has_to_know_is_said(name: str) -> None:
    assert any(note.startswith(NOTES[name]) for note in read_log(LOGS / name).notes)


SLOTS = {
    # what the server says of its slots: the length and number that it is sized for
    "separate caches": ("llama_context: n_seq_max = 4\nllama_context: n_ctx = 32768\nllama_context: kv_unified = false", 8192, 4),
    "streams": ("llama_kv_cache: size = 64.00 MiB ( 8192 cells,  2 layers,  4/4 seqs), K (f16): 32.00 MiB", 8192, 4),
    "one stream": ("llama_kv_cache: size = 64.00 MiB ( 8192 cells,  2 layers,  4/1 seqs), K (f16): 32.00 MiB", 8192, 1),
    "slots of a shared cache": ("srv load_model: initializing, n_slots = 4, n_ctx_slot = 8192, kv_unified = 'true'\nnew slot, n_ctx = 8192", 8192, 1),
    "before the word unified": ("llama_context: n_seq_max = 4\nllama_context: n_ctx = 4096\nllama_context: n_ctx_seq = 4096", 4096, 1),
    "slots alone": ("srv load_model: initializing slots, n_slots = 4\nslot load_model: id 0 | task -1 | new slot, n_ctx = 8192", 8192, 4),
}


@pytest.mark.parametrize("case", SLOTS)
def test_slots_share_a_cache_or_have_their_own(case: str) -> None:
    text, length, sequences = SLOTS[case]
    logged = parsed(text + "\nsched_reserve: CUDA0 compute buffer size = 10.00 MiB\n")
    assert logged is not None
    assert (logged.settings["max_model_len"], logged.settings["max_num_seqs"]) == (length, sequences)
    assert logged.settings.get("slots", 1) == (4 if sequences == 1 else 1)
    assert ("does not say whether" in " ".join(logged.notes)) is (case == "slots alone")


def test_a_probe_that_does_not_fit_says_nothing_of_the_weights_until_one_fits() -> None:
    row = "common_memory_breakdown_print: |   - CUDA0 (RTX 3060)   | 11906 =  261 + ({}) +      -10526 |\n"
    probe = row.format("22171 = 18667 +    2782 +     720")
    (first, last) = parsed(probe), parsed(probe + row.format("10170 = 6667 +    2782 +     721"))
    assert first is not None and last is not None
    assert "weights" not in first.figures and "would not fit" in first.notes[0]
    assert last.figures["weights"].value == pytest.approx(6667 / 1024) and not last.notes


def test_a_probe_that_fits_some_cards_says_nothing_of_the_weights_of_any() -> None:
    logged = read_log(LOGS / "llama.cpp-excerpt-probe-8x3090.log")
    assert "weights" not in logged.figures and "CUDA0: 26252 MiB would not fit" in logged.notes[0]


def test_hostile_numbers_in_a_memory_table_are_harmless() -> None:
    nines = "9" * 5000
    for line in (f"|   - CUDA0 (x) | {nines} = 1 + (2 = 3 + 4 + 5) + {nines} |", f"llama_kv_cache: size = 1.0 MiB ( 8 cells, 1 layers, {nines}/{nines} seqs)"):
        logged = parsed(line + "\nsched_reserve: CUDA0 compute buffer size = 10.00 MiB\n")
        assert logged is not None and all(figure.value < 1e13 for figure in logged.figures.values())


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
    if hasattr(os, "mkfifo"):  # not on Windows, where `pipe` is missing too
        os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "missing.log", tmp_path, tmp_path / "pipe"):
        with pytest.raises(InputError):
            read_log(path)

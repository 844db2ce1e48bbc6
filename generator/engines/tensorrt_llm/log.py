"""TensorRT-LLM's start-up logs: the profiling block of the PyTorch backend (`_torch/pyexecutor/_util.py`) and the pool.

The lines are as in a log of 1.1.0rc3 (tests/data/logs/tensorrt-llm-1.1.0rc3-gb10.log). Floor 4, pure. Imported by `calibrate` only."""

from __future__ import annotations

import re
from collections.abc import Sequence

from generator.engines.start_log import OFTEN, Line, Logged, LogParser

_N = r"([\d.]+)"
_FIGURES = (
    ("weights", Logged.most, re.compile(r"loading model weights \(inside torch\) in memory usage profiling: " + _N + " GiB")),
    ("activations", Logged.most, re.compile(r"during inference \(inside torch\) in memory usage profiling: " + _N + " GiB")),
    ("runtime", Logged.most, re.compile(r"used outside torch .{0,40}?in memory usage profiling: " + _N + " GiB")),
    ("kv_cache", Logged.least, re.compile(r"available KV cache memory when calculating max tokens: " + _N + " GiB")),
    ("capacity", Logged.most, re.compile(r"\bdevice total memory " + _N + " GiB")),
    ("lent", Logged.most, re.compile(r"\b(?:tmp kv_mem|temporary kv cache memory during profiling) " + _N + " GiB")),
    ("pool", Logged.most, re.compile(r"\[MemUsageChange\] Allocated " + _N + " GiB for max tokens in paged KV cache")),
    ("kv_tokens", Logged.most, re.compile(r"for max tokens in paged KV cache \((\d{1,12})\)")),
)
_VERSION = re.compile(r"TensorRT-LLM version: (\d+(?:\.\d+){1,3}\w*)")
_SETTINGS = {
    "gpu_memory_utilization": re.compile(r"\bfraction is set (0\.\d{1,6})"),
    "max_model_len": re.compile(r"\bmax_seq_len=(\d{1,9})\b"),
    "max_num_batched_tokens": re.compile(r"\bmax_num_tokens=(\d{1,9})\b"),
    "max_num_seqs": re.compile(r"\bmax_batch_size=(\d{1,9})\b"),
    "tensor_parallel": re.compile(r"\btensor_parallel_size'?[=:] ?(\d{1,4})\b"),
    "pipeline_parallel": re.compile(r"\bpipeline_parallel_size'?[=:] ?(\d{1,4})\b"),
}

_OFTEN = ("memory usage profiling", "[MemUsageChange]", "max_seq_len=", "_parallel_size", "TensorRT-LLM version")
_WORDS = dict.fromkeys(_OFTEN, OFTEN)


def parse(lines: Sequence[Line]) -> Logged:
    """A TensorRT-LLM log. It allocates a small pool for its profile and the real one after it: the last of each rank's counts."""
    logged = Logged("tensorrt-llm")
    for number, line in lines:
        logged.seen(line, _VERSION)
        logged.read(Line(number, line), _FIGURES)
        logged.take(line, _SETTINGS)
    figures = logged.figures
    if pool := figures.pop("pool", None):
        figures.setdefault("kv_cache", pool)
    lent = figures.pop("lent", None)
    if lent and (activations := figures.get("activations")):  # the profile's own small cache is given back
        figures["activations"] = activations._replace(value=max(0.0, activations.value - lent.value))
    return logged


PARSER = LogParser(_WORDS, (_VERSION, *(pattern for _, _, pattern in _FIGURES)), parse)

"""TensorRT-LLM's start-up logs: the profiling block of the PyTorch backend (`_torch/pyexecutor/_util.py`) and the pool.

The lines are as in a log of 1.1.0rc3 (tests/data/logs/tensorrt-llm-1.1.0rc3-gb10.log). Floor 4, pure. Imported by `calibrate` only.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from generator.engines.start_log import OFTEN, SELDOM, Line, Logged, number_of

_N = r"([\d.]+)"
_PART = re.compile(r"\((inside torch|outside torch|e\.g\., NCCL and CUDA graphs)\) in memory usage profiling: " + _N + " GiB")
_PEAK = re.compile(r"Peak memory during memory usage profiling.{0,40}?available KV cache memory when calculating max tokens: " + _N + " GiB")
_FRACTION = re.compile(r"\bfraction is set (0\.\d{1,20})")
_TOTAL = re.compile(r"\bdevice total memory " + _N + " GiB")
_LENT = re.compile(r"\b(?:tmp kv_mem|temporary kv cache memory during profiling) " + _N + " GiB")
_POOL = re.compile(r"\[MemUsageChange\] Allocated " + _N + r" GiB for max tokens in paged KV cache \((\d{1,12})\)")
_VERSION = re.compile(r"TensorRT-LLM version: (\d+(?:\.\d+){1,3}\w*)")
_LIMITS = re.compile(r"\bmax_seq_len=(\d{1,9}), .{0,60}?max_num_tokens=(\d{1,9}), max_batch_size=(\d{1,9})")
_PARALLEL = re.compile(r"\b(tensor|pipeline)_parallel_size'?[=:] ?(\d{1,4})\b")

WORDS: Mapping[str, int] = dict.fromkeys(("memory usage profiling", "[MemUsageChange]", "max_seq_len=", "_parallel_size"), OFTEN) | {
    "TensorRT-LLM version": SELDOM
}


def mentions(lines: Sequence[Line]) -> int:
    """How many lines only TensorRT-LLM writes."""
    return sum(1 for _, line in lines if any(pattern.search(line) for pattern in (_PART, _PEAK, _POOL, _VERSION)))


def parse(lines: Sequence[Line]) -> Logged:
    """A TensorRT-LLM log. It allocates a small pool for its profile and the real one after it: the last of each rank's counts."""
    logged = Logged("tensorrt-llm")
    lent = 0.0
    for number, line in lines:
        if logged.version is None and (found := _VERSION.search(line)):
            logged.version = found[1]
        if found := _PART.search(line):
            term = {"outside torch": None, "inside torch": "weights" if "loading" in line else "activations"}.get(found[1], "runtime")
            if term:
                logged.most(term, number_of(found[2]), number)
        if found := _PEAK.search(line):
            logged.least("kv_cache", number_of(found[1]), number)
        if found := _FRACTION.search(line):
            logged.settings["gpu_memory_utilization"] = round(number_of(found[1]), 4)
        if found := _TOTAL.search(line):
            logged.most("capacity", number_of(found[1]), number)
        if found := _LENT.search(line):
            lent = max(lent, number_of(found[1]))
        if found := _POOL.search(line):
            logged.most("kv_tokens", float(found[2]), number)
            logged.most("pool", number_of(found[1]), number)
        if found := _LIMITS.search(line):
            names = ("max_model_len", "max_num_batched_tokens", "max_num_seqs")
            logged.settings.update({name: max(1, int(found[at])) for at, name in enumerate(names, 1)})
        for found in _PARALLEL.finditer(line):
            logged.settings.setdefault(f"{found[1]}_parallel", max(1, int(found[2])))
    if (pool := logged.figures.pop("pool", None)) and "kv_cache" not in logged.figures:
        logged.figures["kv_cache"] = pool
    if activations := logged.figures.get("activations"):  # the profile's own small cache is given back
        logged.figures["activations"] = activations._replace(value=max(0.0, activations.value - lent))
    return logged

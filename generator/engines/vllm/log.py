"""vLLM's start-up logs, from 0.4 (`# GPU blocks`) over 0.8 (`Available KV cache memory`) to 0.33 (one line with every term).

Floor 4, pure. Imported by `calibrate` only.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from generator.engines.start_log import OFTEN, SELDOM, Figure, Line, Logged, gib_of, number_of

BLOCK = 16
"""Tokens of a block where a log only counts blocks; another size is printed in the arguments."""

_N = r"([\d.,]+)"
_SIZE = _N + r"\s*(GiB|Gib|GB|MiB|MB)"

_VERSION = re.compile(r"(?:vLLM API server version|LLM engine \(v|vLLM version:?)\s*v?(\d+(?:\.\d+){1,3}\w*)", re.IGNORECASE)
_WEIGHTS = re.compile(r"(?:Loading model weights took|Model loading took)\s+" + _SIZE)
_V0 = re.compile(
    r"model weights take " + _SIZE + r"; non_torch_memory takes " + _SIZE + r"; PyTorch activation peak memory takes " + _SIZE
    + r"; the rest of the memory reserved for KV Cache is " + _SIZE
)  # fmt: skip
_V0_TOTAL = re.compile(r"total_gpu_memory \(" + _N + r"\s*GiB\)\s*x\s*gpu_memory_utilization \(([\d.]+)\)")
_PAIRS = {
    "total_gpu_memory": re.compile(r"\btotal_gpu_memory=" + _SIZE),
    "peak_torch_memory": re.compile(r"\bpeak_torch_memory=" + _SIZE),
    "non_torch_memory": re.compile(r"\bnon_torch_memory=" + _SIZE),
    "kv_cache_size": re.compile(r"\bkv_cache_size=" + _SIZE),
}
_PROFILE = re.compile(
    r"torch peak memory increase: " + _SIZE + r"; non-torch forward increase memory: " + _SIZE + r"(?:; weights memory: " + _SIZE + ")?"
)
_DEVICE = re.compile(r"Free memory on device \(" + _N + "/" + _N + r" GiB\) on startup")
_FRACTION = re.compile(r"Desired GPU memory utilization is \(([\d.]+), [\d.]+ GiB\)")
_USAGE = re.compile(_SIZE + r" for(?: (weight\b|consumed memory|peak activation|non-torch memory|CUDAGraph memory)|$)")
"""The parts of "Actual usage is …" (`gpu_worker.py`), one by one: people post the line cut and wrapped."""
_GRAPHS_TOOK = re.compile(r"Graph capturing finished in [\d.]+ secs?, took\s+(-?[\d.]+)\s*(GiB|GB)")
_GRAPHS_TAKEN = re.compile(r"CUDA graph pool memory: " + _SIZE + r" \(actual\)")
_GRAPHS_EXPECTED = re.compile(r"Estimated CUDA graph memory: " + _SIZE + " total")
_KV = re.compile(r"(?:Available KV cache memory:|\bmemory in use is) " + _SIZE)
_USED = {
    "weight": "weights", "consumed memory": "consumed", None: "consumed", "peak activation": "activations", "non-torch memory": "runtime",
    "CUDAGraph memory": "cuda_graphs",
}  # fmt: skip
_TOKENS = re.compile(r"GPU KV cache size: " + _N + r" tokens")
_BLOCKS = re.compile(r"# (?:GPU|CUDA) blocks: " + _N)
_CHUNK = re.compile(r"Chunked prefill is enabled with max_num_batched_tokens=(\d{1,9})\b")

_DEFAULTED = re.compile(r"Defaulting (max_num_seqs|max_num_batched_tokens) to (\d{1,9}) for")
_SNAPSHOT = re.compile(r"init memory snapshot:.{0,200}?\btotal_memory=" + _N + r"\s*GiB")

_ARGUMENTS = {
    name: re.compile(rf"['\"]?\b{theirs}['\"]?\s*[:=]\s*['\"]?([\w.\-/]+)")
    for name, theirs in {
        "max_model_len": "max_(?:model|seq)_len",
        "max_num_seqs": "max_num_seqs",
        "max_num_batched_tokens": "max_num_batched_tokens",
        "gpu_memory_utilization": "gpu_memory_utilization",
        "tensor_parallel": "tensor_parallel_size",
        "pipeline_parallel": "pipeline_parallel_size",
        "enforce_eager": "enforce_eager",
        "kv_cache_dtype": "kv_cache_dtype",
        "block_size": "block_size",
    }.items()
}
_STATES = re.compile(r"non-default args|args: Namespace|Initializing an? (?:V\d )?LLM engine|engine_args")

WORDS: Mapping[str, int] = dict.fromkeys(("memory", " took ", "Actual usage is", "peak activation", " blocks: ", "KV cache size", "max_num_", "args", "LLM"), OFTEN) | {"vllm": SELDOM}


def mentions(lines: Sequence[Line]) -> int:
    """How many lines only vLLM writes."""
    own = (_WEIGHTS, _KV, _TOKENS, _BLOCKS, _USAGE, _DEVICE)
    return sum(1 for _, line in lines if any(pattern.search(line) for pattern in own) or "vllm" in line.lower()[:400])


def parse(lines: Sequence[Line]) -> Logged:
    """A vLLM log; where several ranks log, the fullest GPU's weights and the smallest pool."""
    logged = Logged("vllm")
    blocks = 0.0
    for number, line in lines:
        if logged.version is None and (found := _VERSION.search(line)):
            logged.version = found[1]
        if _STATES.search(line):
            _arguments(line, logged)
        if found := _DEFAULTED.search(line):
            logged.settings.setdefault(found[1], int(found[2]))
        if found := _SNAPSHOT.search(line):
            logged.most("capacity", number_of(found[1]), number)
        if found := _CHUNK.search(line):
            logged.settings.setdefault("max_num_batched_tokens", int(found[1]))
        if found := _WEIGHTS.search(line):
            logged.most("weights", gib_of(found[1], found[2]), number)
        if found := _KV.search(line):
            logged.least("kv_cache", gib_of(found[1], found[2]), number)
        if found := _TOKENS.search(line):
            logged.least("kv_tokens", number_of(found[1]), number)
        if found := _BLOCKS.search(line):
            blocks = number_of(found[1])
            logged.least("kv_tokens", blocks * int(logged.settings.get("block_size", BLOCK)), number)
        if found := _GRAPHS_TOOK.search(line):
            logged.most("cuda_graphs", gib_of(found[1], found[2]), number)
        _old(line, number, logged)
        _new(line, number, logged)
    logged.settings.pop("block_size", None)
    for number, line in lines:
        if "cuda_graphs" not in logged.figures and (found := _GRAPHS_EXPECTED.search(line)):
            logged.figures["cuda_graphs"] = Figure(gib_of(found[1], found[2]), number)
            logged.notes.append("CUDA graphs: what vLLM expected before it captured them")
    if "weights" in logged.figures and (consumed := logged.figures.pop("consumed", None)):
        logged.most("runtime", max(0.0, consumed.value - logged.figures["weights"].value), consumed.line)
    return logged


def _old(line: str, number: int, logged: Logged) -> None:
    """The lines of the V0 engine, before 0.8."""
    if found := _V0.search(line):
        sizes = [gib_of(found[i], found[i + 1]) for i in (1, 3, 5, 7)]
        for term, size in zip(("weights", "runtime", "activations"), sizes, strict=False):
            logged.most(term, size, number)
        logged.least("kv_cache", sizes[3], number)
    if found := _V0_TOTAL.search(line):
        logged.most("capacity", number_of(found[1]), number)
        logged.settings["gpu_memory_utilization"] = number_of(found[2])
    if "peak_torch_memory=" in line:
        sized = {name: gib_of(found[1], found[2]) for name, pattern in _PAIRS.items() if (found := pattern.search(line))}
        if "total_gpu_memory" in sized:
            logged.most("capacity", sized["total_gpu_memory"], number)
        if "non_torch_memory" in sized:
            logged.most("runtime", sized["non_torch_memory"], number)
        if "kv_cache_size" in sized:
            logged.least("kv_cache", sized["kv_cache_size"], number)
        weights = logged.figures.get("weights")
        if weights and sized.get("peak_torch_memory", 0) > weights.value:
            logged.most("activations", sized["peak_torch_memory"] - weights.value, number)


def _new(line: str, number: int, logged: Logged) -> None:
    """The lines of the V1 engine and the V2 runner."""
    if found := _PROFILE.search(line):
        logged.most("activations", gib_of(found[1], found[2]), number)
        logged.most("runtime", gib_of(found[3], found[4]), number)
        if found[5]:
            logged.most("weights", gib_of(found[5], found[6]), number)
    if found := _DEVICE.search(line):
        logged.most("capacity", number_of(found[2]), number)
    if found := _FRACTION.search(line):
        logged.settings["gpu_memory_utilization"] = number_of(found[1])
    for found in _USAGE.finditer(line):
        logged.most(_USED[found[3]], gib_of(found[1], found[2]), number)
    if found := _GRAPHS_TAKEN.search(line):
        logged.most("cuda_graphs", gib_of(found[1], found[2]), number)


def _arguments(line: str, logged: Logged) -> None:
    """Settings as vLLM repeats them: its arguments, or its whole configuration."""
    for name, pattern in _ARGUMENTS.items():
        found = pattern.search(line)
        if found is None or name in logged.settings or len(found[1]) > 24:
            continue
        word = found[1].rstrip(".")
        if name == "kv_cache_dtype":
            logged.settings[name] = {"fp8_e4m3": "fp8"}.get(word, word)
        elif name == "enforce_eager":
            logged.settings[name] = word == "True"
        elif name == "gpu_memory_utilization":
            if 0 < number_of(word) <= 1:
                logged.settings[name] = number_of(word)
        elif word.isdigit() and int(word) > 0:
            logged.settings[name] = int(word)

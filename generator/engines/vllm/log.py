"""vLLM's start-up logs, from 0.4 (`# GPU blocks`) over 0.8 (`Available KV cache memory`) to 0.33 (one line with every term).

Floor 4, pure. Imported by `calibrate` only."""

from __future__ import annotations

import re
from collections.abc import Sequence

from generator.engines.start_log import OFTEN, SELDOM, Line, Logged, LogParser, gib_of, number_of

BLOCK = 16
"""Tokens of a block where a log only counts blocks; another size is printed in the arguments."""

_N = r"([\d.,]+)"
_SIZE = _N + r"\s*(GiB|Gib|GB|MiB|MB)"
_PART = r"(?<![\d.,])" + _SIZE  # without a word before it; a line of digits is read once

_VERSION = re.compile(r"(?:vLLM API server version|LLM engine \(v|vLLM version:?)\s*v?(\d+(?:\.\d+){1,3}\w*)", re.IGNORECASE)
_PEAK = re.compile(r"\bpeak_torch_memory=" + _SIZE)
_FRACTION = {"gpu_memory_utilization": re.compile(r"(?:Desired GPU memory utilization is|gpu_memory_utilization) \(([\d.]+)")}
_BLOCKS = re.compile(r"# (?:GPU|CUDA) blocks: " + _N)
_DEFAULTED = re.compile(r"(?:Defaulting|enabled with) (max_num_seqs|max_num_batched_tokens)(?: to |=)(\d{1,9})\b")
_FIGURES = tuple(
    (term, Logged.least if term.startswith("kv") else Logged.most, re.compile(pattern))
    for term, pattern in (
        ("weights", r"(?:Loading model weights took|Model loading took)\s+" + _SIZE),
        ("kv_cache", r"(?:Available KV cache memory:|\bmemory in use is) " + _SIZE),
        ("kv_tokens", r"GPU KV cache size: " + _N + r" tokens"),
        ("cuda_graphs", r"Graph capturing finished in [\d.]+ secs?, took\s+(-?[\d.]+)\s*(GiB|GB)"),
        ("cuda_graphs", r"CUDA graph pool memory: " + _SIZE + r" \(actual\)"),
        ("expected_graphs", r"Estimated CUDA graph memory: " + _SIZE + " total"),
        ("capacity", r"init memory snapshot:.{0,200}?\btotal_memory=" + _N + r"\s*GiB"),
        ("capacity", r"Free memory on device \([\d.,]+/" + _N + r" GiB\) on startup"),
        # the V1 engine's profile, and the parts of "Actual usage is …" one by one: people post that line cut and wrapped
        ("activations", r"torch peak memory increase: " + _SIZE),
        ("runtime", r"non-torch forward increase memory: " + _SIZE),
        ("weights", r"; weights memory: " + _SIZE),
        ("weights", _PART + r" for weight\b"),
        ("consumed", _PART + r" for(?: consumed memory|$)"),
        ("activations", _PART + r" for peak activation"),
        ("runtime", _PART + r" for non-torch memory"),
        ("cuda_graphs", _PART + r" for CUDAGraph memory"),
        # the V0 engine, before 0.8
        ("weights", r"model weights take " + _SIZE),
        ("runtime", r"(?:non_torch_memory takes |peak_torch_memory=.{0,200}?\bnon_torch_memory=)" + _SIZE),
        ("activations", r"PyTorch activation peak memory takes " + _SIZE),
        ("kv_cache", r"(?:reserved for KV Cache is |\bkv_cache_size=)" + _SIZE),
        ("capacity", r"\btotal_gpu_memory(?: \(|=)" + _SIZE),
    )
)
_ARGUMENTS = {
    name: re.compile(rf"['\"]?\b{theirs}['\"]?\s*[:=]\s*['\"]?([\w.\-/]+)")
    for name, theirs in {
        "max_model_len": "max_(?:model|seq)_len", "max_num_seqs": "max_num_seqs", "max_num_batched_tokens": "max_num_batched_tokens",
        "gpu_memory_utilization": "gpu_memory_utilization", "tensor_parallel": "tensor_parallel_size",
        "pipeline_parallel": "pipeline_parallel_size", "enforce_eager": "enforce_eager", "kv_cache_dtype": "kv_cache_dtype",
        "block_size": "block_size",
    }.items()
}
_STATES = re.compile(r"non-default args|args: Namespace|Initializing an? (?:V\d )?LLM engine|engine_args")

_WORDS = {
    **dict.fromkeys(("memory", " took ", "Actual usage is", "peak activation", " blocks: ", "KV cache size", "max_num_", "args", "LLM"), OFTEN),
    "vllm": SELDOM,
}


def parse(lines: Sequence[Line]) -> Logged:
    """A vLLM log; where several ranks log, the fullest GPU's weights and the smallest pool."""
    logged = Logged("vllm")
    for number, line in lines:
        logged.seen(line, _VERSION)
        if _STATES.search(line):
            _arguments(line, logged)
        if found := _DEFAULTED.search(line):
            logged.settings.setdefault(found[1], int(found[2]))
        logged.read(Line(number, line), _FIGURES)
        if found := _BLOCKS.search(line):
            logged.least("kv_tokens", number_of(found[1]) * int(logged.settings.get("block_size", BLOCK)), number)
        logged.take(line, _FRACTION)
        weights = logged.figures.get("weights")
        if weights and (found := _PEAK.search(line)) and (peak := gib_of(found[1], found[2])) > weights.value:
            logged.most("activations", peak - weights.value, number)
    logged.settings.pop("block_size", None)
    expected = logged.figures.pop("expected_graphs", None)
    if expected and "cuda_graphs" not in logged.figures:
        logged.figures["cuda_graphs"] = expected
        logged.notes.append("CUDA graphs: what vLLM expected before it captured them")
    if "weights" in logged.figures and (consumed := logged.figures.pop("consumed", None)):
        logged.most("runtime", max(0.0, consumed.value - logged.figures["weights"].value), consumed.line)
    return logged


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


PARSER = LogParser(_WORDS, (re.compile(r"\A.{0,396}?vllm", re.IGNORECASE), _BLOCKS, *(pattern for _, _, pattern in _FIGURES)), parse)

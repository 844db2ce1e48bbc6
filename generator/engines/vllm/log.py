"""vLLM's start-up logs, from 0.4 to 0.33. Floor 4, pure but for the patterns. Imported by `calibrate` only."""

from __future__ import annotations

from collections.abc import Sequence

from generator.engines.start_log import Line, Logged, gib_of, log_lines, number_of

BLOCK = 16
"""Tokens of a block where a log only counts blocks; another size is printed in the arguments."""
LOG = log_lines("vllm")


def parse(lines: Sequence[Line]) -> Logged:
    """A vLLM log; where several ranks log, the fullest GPU's weights and the smallest pool."""
    logged = Logged("vllm")
    for number, line in lines:
        logged.read(Line(number, line), LOG)
        if LOG.patterns["states"].search(line):
            _arguments(line, logged)
        if found := LOG.patterns["defaulted"].search(line):
            logged.settings.setdefault(found[1], int(found[2]))
        if found := LOG.patterns["blocks"].search(line):
            logged.least("kv_tokens", number_of(found[1]) * int(logged.settings.get("block_size", BLOCK)), number)
        weights = logged.figures.get("weights")
        if weights and (found := LOG.patterns["peak"].search(line)) and (peak := gib_of(found[1], found[2])) > weights.value:
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
    for name, pattern in LOG.lists["arguments"].items():
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

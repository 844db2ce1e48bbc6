"""TensorRT-LLM's start-up logs. Floor 4, pure but for the patterns. Imported by `calibrate` only."""

from __future__ import annotations

from collections.abc import Sequence

from generator.engines.start_log import Line, Logged, log_lines

LOG = log_lines("tensorrt-llm")


def parse(lines: Sequence[Line]) -> Logged:
    """A TensorRT-LLM log. It allocates a small pool for its profile and the real one after it: the last of each rank's counts."""
    logged = Logged("tensorrt-llm")
    for line in lines:
        logged.read(line, LOG)
    figures = logged.figures
    if pool := figures.pop("pool", None):
        figures.setdefault("kv_cache", pool)
    lent = figures.pop("lent", None)
    if lent and (activations := figures.get("activations")):  # the profile's own small cache is given back
        figures["activations"] = activations._replace(value=max(0.0, activations.value - lent.value))
    return logged

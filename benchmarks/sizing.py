"""Time to size one candidate: every model of the catalogue on every engine, with trials of several sizes.

    python benchmarks/sizing.py [--most MICROSECONDS]     # exit 3 where the average is above it (default 50)

A candidate is weights on the fullest GPU, the cost of the cache, activations, graphs and run-time, budget and tokens. The first
sizing of a model counts its tensors; a plan sizes each model with many methods, layouts and loads, so the average is over those.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from typing import Any

from generator.decide.context import numbers_of
from generator.engines import ENGINES, cache_cost
from generator.facts.model import shape_of
from generator.quantity import GIB
from generator.rulebook.book import load
from generator.sizing.footprint import Device, Layout, Load
from generator.sizing.gguf import fullest, gguf_sizes
from generator.sizing.weights import weight_bytes

DEVICE = Device(int(79.18 * GIB), compute_capability=9.0, multiprocessors=132)
LAYOUTS = (Layout(), Layout(2), Layout(4), Layout(8), Layout(1, 2))
LOADS = tuple(Load(length, seqs, 2048) for length, seqs in ((4096, 256), (32768, 32), (131072, 4)))
METHODS = ("bf16", "fp8", "fp8-block", "awq", "gptq", "int8", "nvfp4", "gguf-q4_k_m", "gguf-q8_0")


def main() -> int:
    """Print microseconds per candidate for each engine and over all."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--most", type=float, default=50.0, metavar="MICROSECONDS")
    args = parser.parse_args()
    book = load("default")
    methods, types = book.section("methods"), book.section("ggml_types")
    shapes = [shape for name in book.section("models") if (shape := shape_of(name, book)) is not None]
    spent: dict[str, float] = {}
    count: dict[str, int] = {}
    for engine, memory in ((name, room.memory) for name, room in ENGINES.items()):
        facts: dict[str, Any] = book.section("engines")[engine]
        numbers = numbers_of(book, facts["default_version"])
        mine = [name for name in METHODS if ("gguf" if name.startswith("gguf") else "safetensors") in facts["formats"]]
        start = time.perf_counter()
        for shape, name, layout in itertools.product(shapes, mine, LAYOUTS):
            gguf = name.startswith("gguf")
            weights = fullest(gguf_sizes(shape, methods[name], types), layout) if gguf else weight_bytes(shape, methods[name], layout)
            for asked in LOADS:
                cost = cache_cost(shape, layout, 16, engine, batched_tokens=asked.batched_tokens, sequences=asked.max_num_seqs)
                fixed = memory.fixed(shape, layout, asked, DEVICE, weights, numbers)
                fraction = memory.fraction_for(DEVICE, weights, fixed, numbers)
                budget = memory.budget(DEVICE, weights, fixed, fraction, numbers)
                cost.bytes_for(asked.max_model_len, 1)
                cost.tokens_in(max(0, budget - weights - fixed.total), asked.max_model_len)
        spent[engine] = time.perf_counter() - start
        count[engine] = len(shapes) * len(mine) * len(LAYOUTS) * len(LOADS)
    for engine, seconds in spent.items():
        print(f"{engine:<14} {1e6 * seconds / count[engine]:7.1f} µs per candidate ({count[engine]} candidates)")
    average = 1e6 * sum(spent.values()) / sum(count.values())
    print(f"{'all':<14} {average:7.1f} µs per candidate, {len(shapes)} models")
    return 0 if average <= args.most else 3


if __name__ == "__main__":
    sys.exit(main())

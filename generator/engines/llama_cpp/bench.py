"""llama-bench (llama.cpp's tools/llama-bench/README.md): kernels without a server, one sequence at a time. Floor 4, pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from generator.engines.room import BenchLoad, Benchmark, Result, Word, figure_of
from generator.errors import Place, fail


class LlamaBench(Benchmark):
    """Kernels of one model, one sequence at a time."""

    __slots__ = ()

    def command(self, load: BenchLoad, model: Word, server: Sequence[Word | str]) -> list[Word | str]:
        """A prompt and an answer of the spec's lengths, with the plan's batch and cache; the model as the server is told it."""
        where = next((i for i, word in enumerate(server) if word in ("-m", "--model", "-hf", "--hf-repo")), None)
        dtype, layers = load.kv_cache_dtype, load.settings.get("gpu_layers")
        if load.concurrency != 1 or where is None or dtype == "f32":  # llama-bench knows no cache of 32 bits
            return []
        flag = "-m" if server[where] in ("-m", "--model") else "-hf"
        found = ["llama-bench", flag, server[where + 1], "-p", load.input_tokens, "-n", load.output_tokens]
        if isinstance(layers, int):
            found += ["-ngl", str(layers)]
        if load.settings.get("cpu_moe"):
            found += ["--n-cpu-moe", str(load.settings["cpu_moe"])]
        if load.settings.get("tensor_split"):
            found += ["-ts", str(load.settings["tensor_split"]).replace(",", "/")]
        found += ["-ub", str(load.batched_tokens)]
        if dtype not in ("auto", "f16"):
            found += ["-ctk", dtype, "-ctv", dtype]
        return [*found, "-o", "json"]


BENCH = LlamaBench(("llama-bench",), (), prints=True)


def result(tests: Sequence[Mapping[str, Any]], place: Place) -> Result:
    """The test of the prompt and that of the answer; raises `InputError` where there is no answer."""
    prompt: Mapping[str, Any] = next((t for t in tests if figure_of(t, "n_prompt") and not figure_of(t, "n_gen")), {})
    answer: Mapping[str, Any] = next((t for t in tests if figure_of(t, "n_gen") and not figure_of(t, "n_prompt")), {})
    rate, speed, tokens = figure_of(answer, "avg_ts"), figure_of(prompt, "avg_ts"), figure_of(prompt, "n_prompt")
    if rate is None:
        raise fail("not-a-result", "llama-bench measured no answer (-n)", place)
    first = 1000.0 * tokens / speed if tokens and speed else None
    return Result("llama.cpp", 1, tokens or 1.0, figure_of(answer, "n_gen") or 1.0, None, first, 1000.0 / rate)

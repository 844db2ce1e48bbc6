"""An engine's own benchmark: the words that start it, and what its result says.

Floor 4, pure. Imported lazily, by `bench.sh` and by `calibrate --bench`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

from generator.record import dataclass

Word = TypeVar("Word")
"""A word of a command line; the renderer has more than text."""


class BenchLoad(NamedTuple):
    """What is measured: the server, the load of the spec, the candidate's settings; the result is written to `result`."""

    base_url: str
    request_name: str
    input_tokens: str
    output_tokens: str
    concurrency: int
    requests: int
    batched_tokens: int
    kv_cache_dtype: str
    settings: Mapping[str, Any]
    result: str


class Benchmark(Protocol):
    """What `generator/engines/<engine>/bench.py` holds: `BACKENDS`, the words by which results name it; `PRINTS`, whether it measures
    kernels without a server and prints its result; `APPENDS`, whether it adds its result to a file that is there."""

    BACKENDS: tuple[str, ...]
    PRINTS: bool
    APPENDS: bool

    def command(self, load: BenchLoad, model: Word, server: Sequence[Word | str]) -> list[Word | str]:
        """The words that start it; empty where it cannot measure this load. `server` are the arguments of the server."""


@dataclass(frozen=True, slots=True)
class Result:
    """What one benchmark measured; None where it does not say. Times in milliseconds, lengths are means."""

    engine: str | None
    concurrency: int
    input_tokens: float
    output_tokens: float
    output_per_second: float | None
    ttft_ms: float | None
    tpot_ms: float | None


def figure_of(data: Mapping[str, Any], *names: str) -> float | None:
    """The first of `names` that is a positive number."""
    for name in names:
        value = data.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 1e15:
            return float(value)
    return None


def random_load(load: BenchLoad) -> list[str]:
    """Requests of the spec's lengths, as the benchmarks of vLLM and SGLang are told them."""
    lengths = ["--random-input-len", load.input_tokens, "--random-output-len", load.output_tokens]
    return [*lengths, "--max-concurrency", str(load.concurrency), "--num-prompts", str(load.requests)]

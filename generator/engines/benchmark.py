"""An engine's own benchmark: the words that start it, and what its result says.

Floor 4, pure. Imported lazily, by `bench.sh` and by `calibrate --bench`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

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


class Benchmark(NamedTuple):
    """An engine's benchmark, which sends random requests to the running server: its command, with the names of what a load says.

    `backends` are the words by which results name it; `appends`: it adds its result to a file that is there; `prints`: it measures kernels
    without a server and prints its result."""

    backends: Sequence[str]
    words: Sequence[str]
    appends: bool = False
    prints: bool = False

    def command(self, load: BenchLoad, model: Word, server: Sequence[Word | str]) -> list[Word | str]:
        """The words that start it; empty where it cannot measure this load. `server` are the arguments of the server."""
        said: dict[str, Word | str] = {**{f"{{{name}}}": str(value) for name, value in load._asdict().items()}, "{model}": model}
        return [said.get(word, word) for word in self.words if word != "--trust-remote-code" or load.settings.get("trust_remote_code")]


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

"""`sglang.bench_serving` (SGLang's docs/developer_guide/bench_serving.md). Floor 4, pure."""

from __future__ import annotations

from collections.abc import Sequence

from generator.engines.benchmark import BenchLoad, Word, random_load

BACKENDS = ("sglang", "sglang-oai")
PRINTS, APPENDS = False, True


def command(load: BenchLoad, model: Word, server: Sequence[Word | str]) -> list[Word | str]:
    """A load of random requests on the running server."""
    start: list[Word | str] = ["python3", "-m", "sglang.bench_serving", "--backend", "sglang", "--base-url", load.base_url, "--model", model]
    return [*start, "--dataset-name", "random-ids", "--random-range-ratio", "1", *random_load(load), "--output-file", load.result]

"""`vllm bench serve` (docs.vllm.ai/en/latest/cli/bench/serve). Floor 4, pure."""

from __future__ import annotations

from collections.abc import Sequence

from generator.engines.benchmark import BenchLoad, Word, random_load

BACKENDS = ("vllm", "openai")
PRINTS = APPENDS = False


def command(load: BenchLoad, model: Word, server: Sequence[Word | str]) -> list[Word | str]:
    """A load of random requests on the running server."""
    remote = ["--trust-remote-code"] if load.settings.get("trust_remote_code") else []
    start: list[Word | str] = ["vllm", "bench", "serve", "--base-url", load.base_url, "--model", model, "--served-model-name", load.request_name]
    return [*start, *remote, "--dataset-name", "random", *random_load(load), "--ignore-eos", "--save-result", "--result-filename", load.result]

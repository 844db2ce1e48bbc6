"""The corpus: engine × version × method × target × profile, over the examples and a grid of specs.

Every working candidate of a spec is a plan with files of its own, not only the best. `python corpus.py` prints them as
JSON lines for the checkers that run inside an engine's own environment (they cannot import this package).
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from generator.decide.context import Context
from generator.decide.decision import decide
from generator.decide.prefer import Ranked
from generator.decide.settings import emitted
from generator.errors import GenDeployError
from generator.facts.engine import resolve_engine
from generator.plan import Candidate, changed
from generator.readers.document import parse_yaml
from generator.render.artifact import Artifact
from generator.render.files import artifacts
from generator.render.launch import launch_of
from generator.render.words import expected
from generator.rulebook.book import RuleBook, load
from generator.spec.deployment import from_document

ROOT = Path(__file__).parents[2]
SAFETENSORS = ("vllm", "sglang", "tgi", "tensorrt-llm")

MODELS = (
    "meta-llama/Llama-3.1-8B-Instruct", "meta-llama/Llama-3.3-70B-Instruct", "Qwen/Qwen2.5-7B-Instruct", "Qwen/Qwen2.5-72B-Instruct",
    "Qwen/Qwen3-8B", "Qwen/Qwen3-30B-A3B", "mistralai/Mistral-7B-Instruct-v0.3", "mistralai/Mixtral-8x7B-Instruct-v0.1",
    "google/gemma-3-27b-it", "openai/gpt-oss-20b", "openai/gpt-oss-120b", "deepseek-ai/DeepSeek-V3", "zai-org/GLM-4.5-Air", "microsoft/phi-4",
)  # fmt: skip
NOT_DENSE = (
    "Qwen/Qwen3-VL-8B-Instruct", "Qwen/Qwen3-VL-30B-A3B-Instruct", "mistralai/Mistral-Small-3.2-24B-Instruct-2506", "google/gemma-4-31B-it",
    "meta-llama/Llama-4-Scout-17B-16E-Instruct", "Qwen/Qwen3-Next-80B-A3B-Instruct", "Qwen/Qwen3-Coder-Next", "Qwen/Qwen3.5-35B-A3B", "Qwen/Qwen3.6-27B",
    "Qwen/Qwen3.8-27B", "nvidia/NVIDIA-Nemotron-3-Nano-30B-A3B-BF16", "Qwen/Qwen3-Embedding-0.6B", "Qwen/Qwen3-Embedding-8B", "Qwen/Qwen3-Reranker-4B",
    "BAAI/bge-m3", "BAAI/bge-reranker-v2-m3", "intfloat/multilingual-e5-large", "Qwen/Qwen3-30B-A3B-Instruct-2507", "Qwen/Qwen3-235B-A22B-Instruct-2507",
    "MiniMaxAI/MiniMax-M2.7", "deepseek-ai/DeepSeek-V4-Flash",
)  # fmt: skip
"""Models that see, hybrids, embeddings and rerankers, and mixtures: with those above each kind has as many as the dense ones."""
MACHINES = (
    ("T4-16GB", 1), ("A10G-24GB", 2), ("L4-24GB", 4), ("RTX4090-24GB", 1), ("A100-40GB", 2), ("A100-80GB", 4), ("L40S-48GB", 2),
    ("H100-80GB", 1), ("H100-80GB", 8), ("H200-141GB", 8), ("B200-180GB", 2), ("MI300X-192GB", 4), ("M3-Max-128GB", 1),
)  # fmt: skip
PROFILES = ("chat", "batch", "rag", "agent", "code", "dev")
MORE = ("0.10.1", "0.11.1", "0.14.0", "0.17.0", "0.20.0", "0.25.0", "0.27.0", "0.27.2")
"""Releases before a repair whose options differ, and one between two that are listed."""
OLDER = {
    "vllm": ("0.10.0", "0.10.2", "0.11.0", "0.12.0", "0.13.0", "0.14.1", "0.15.1", "0.17.1", "0.19.1", "0.20.2", "0.23.0", "0.26.0", "0.28.0", "0.32.0", *MORE),
    "tgi": ("3.3.7",),
    "llama.cpp": ("b11312",),  # the one that the tests build
    "sglang": ("0.5.1", "0.5.3", "0.5.6", "0.5.9", "0.5.12", "0.5.14", "0.5.18", "0.5.22"),
}
PINS: tuple[dict[str, Any], ...] = (
    {"kv_cache_dtype": "fp8"}, {"enforce_eager": True}, {"tensor_parallel": 2}, {"pipeline_parallel": 2}, {"max_model_len": 4096},
    {"max_num_seqs": 16, "max_num_batched_tokens": 4096},
)  # fmt: skip


@dataclass(frozen=True)
class Case:
    """One plan with its files; `words` are those of the script, `loads` the one that names the model, `config` is the text of the engine's own file."""

    id: str
    candidate: Candidate
    spec: dict[str, Any]
    gpu: dict[str, Any]
    model: dict[str, Any]
    words: list[str]
    loads: str
    config: str | None
    env: dict[str, str]
    files: tuple[Artifact, ...]

    @property
    def engine(self) -> str:
        return self.candidate.engine

    @property
    def version(self) -> str:
        return self.candidate.engine_version

    def as_json(self) -> dict[str, Any]:
        """What a checker outside this package needs."""
        c = self.candidate
        return {
            "id": self.id, "engine": self.engine, "version": self.version, "method": c.method, "origin": c.origin, "checkpoint": self.loads,
            "words": self.words, "config": self.config, "env": self.env, "gpu": self.gpu, "model": self.model,
            "gpus": c.gpus, "tensor_parallel": c.tensor_parallel,
            "modelfile": next((f.text for f in self.files if f.path.endswith("Modelfile")), None),
        }  # fmt: skip


@cache
def book() -> RuleBook:
    """The default rule set."""
    return load()


def example_specs() -> Iterator[tuple[str, str, Path]]:
    """The examples: a name, the text, the path."""
    for path in sorted((ROOT / "examples").glob("*.yaml")):
        if "hardware:" in path.read_text():
            yield f"example/{path.stem}", path.read_text(), path


def grid_specs() -> Iterator[tuple[str, dict[str, Any]]]:
    """The grid: every model on every machine, with profiles and pins taking turns; then older versions."""
    profiles, pins = itertools.cycle(PROFILES), itertools.cycle((*PINS, {}, {}, {}))
    for model, (gpu, count) in itertools.product(MODELS, MACHINES):
        profile, pin = next(profiles), dict(next(pins))
        deploy: dict[str, Any] = {"served_name": "chat"} if count > 1 else {}
        if profile == "agent":
            deploy |= {"api_key_from": "KEY", "host": "0.0.0.0"}
        yield f"{model}/{count}x{gpu}/{profile}", _spec(model, gpu, count, profile, pin, deploy)
    for model, (gpu, count) in itertools.product(NOT_DENSE, (("RTX4090-24GB", 1), ("L40S-48GB", 2), ("A100-80GB", 4), ("H100-80GB", 8))):
        yield f"{model}/{count}x{gpu}/other", _spec(model, gpu, count, next(profiles), dict(next(pins)), {})
    newer = {engine: os.environ.get(f"{engine.upper()}_VERSION") for engine in ("vllm", "sglang")}  # one that was just harvested
    for engine, versions in {engine: dict.fromkeys((*older, *filter(None, (newer.get(engine),)))) for engine, older in OLDER.items()}.items():
        for version, model, machine in itertools.product(versions, MODELS[:6], (("A100-80GB", 4), ("H100-80GB", 8), ("L4-24GB", 4))):
            profile = next(profiles)
            pin = {"engine": engine, "engine_version": version}
            yield f"{engine}-{version}/{model}/{machine[1]}x{machine[0]}/{profile}", _spec(model, machine[0], machine[1], profile, pin, {})


def _spec(model: str, gpu: str, count: int, profile: str, pin: dict[str, Any], deploy: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": "case", "model": model, "hardware": {"gpu": gpu, "gpus_per_node": count}, "workload": {"profile": profile},
        "pin": pin, "deploy": {"targets": ["script", "compose"], **deploy},
    }  # fmt: skip


def cases(engine: str | None = None, every: int = 1) -> Iterator[Case]:
    """The cases of the corpus in a fixed order: of the examples, and of one in `every` specs of the grid."""
    seen: set[str] = set()
    for name, text, path in example_specs():
        yield from _of_spec(name, text, path, engine, seen)
    with tempfile.TemporaryDirectory() as folder:
        for name, spec in itertools.islice(grid_specs(), 0, None, every):
            if engine is None or spec["pin"].get("engine", engine) == engine:
                yield from _of_spec(f"grid/{name}", json.dumps(spec), Path(folder) / "case.yaml", engine, seen)


def _of_spec(name: str, text: str, path: Path, engine: str | None, seen: set[str]) -> Iterator[Case]:
    document = parse_yaml(text, path.name)
    document.data.get("deploy", {}).pop("targets", None)  # what a platform refuses of a candidate that lost is no matter here
    spec, problems = from_document(document, path)
    assert spec is not None, problems
    try:
        outcome = decide(spec, book())
    except GenDeployError:
        return
    gpu = {
        "compute_capability": outcome.context.gpu.compute_capability, "vendor": outcome.context.gpu.vendor,
        "gib": outcome.context.gpu.capacity_gib, "name": outcome.context.gpu.name,
        "gpus_per_node": spec.hardware.gpus_per_node,
    }  # fmt: skip
    model = _model(outcome)
    for ranked in outcome.ranked:
        candidate = _with_settings(ranked, outcome.context)
        if engine is not None and candidate.engine != engine:
            continue
        launch = launch_of(outcome.plan, candidate, book(), "../../..")
        if not launch.engine.listed:
            continue
        words = [expected(word) for word in launch.words()]
        files = artifacts(outcome.plan, [candidate], book(), spec_file="case.yaml")
        config = next((f.text for f in files if f.path.endswith("/config.yaml")), None)
        modelfile = next((f.text for f in files if f.path.endswith("Modelfile")), "")
        env = {name: expected(value) for name, value in launch.env().items()}
        key = json.dumps([candidate.engine, candidate.engine_version, gpu["name"], words, config, modelfile, env])
        if key not in seen:
            seen.add(key)
            loads = expected(launch.weights.host) if launch.weights.local else candidate.checkpoint
            made = ranked.made
            stored = model if made is None or not made.quantization else _as_made(model, made.quantization)
            yield Case(f"{name}/{candidate.id}", candidate, dict(outcome.plan.spec), gpu, stored, words, loads, config, env, files)


def _with_settings(ranked: Ranked, context: Context) -> Candidate:
    """A candidate with the settings that its rows set: the decision works them out for the best of each engine only."""
    engine = resolve_engine(ranked.candidate.engine, ranked.candidate.engine_version, book())
    settings, _ = emitted(context, ranked.facts, ranked.sources, engine)
    assert settings, ranked.candidate.id
    return changed(ranked.candidate, settings=settings)


def _model(outcome: Any) -> dict[str, Any]:
    """The config.json of a model, with the layout of each checkpoint."""
    model = outcome.context.model
    return {
        "id": model.id,
        "config": model.config,
        "layouts": {c.id: c.layout for c in model.checkpoints.values()},
        "group_sizes": {c.id: c.group_size for c in model.checkpoints.values()},
    }


def _as_made(model: dict[str, Any], quantization: Any) -> dict[str, Any]:
    """The same as the job of the plan will leave it."""
    return {**model, "config": {**model["config"], "quantization_config": quantization}}


def main() -> None:
    """Print the corpus, or its size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine")
    parser.add_argument("--version")
    parser.add_argument("--count", action="store_true", help="plans per engine and version, and nothing else")
    asked = parser.parse_args()
    counts: dict[str, int] = {}
    for case in cases(engine=asked.engine):
        if asked.version in (None, case.version):
            counts[f"{case.engine} {case.version}"] = counts.get(f"{case.engine} {case.version}", 0) + 1
            if not asked.count:
                sys.stdout.write(json.dumps(case.as_json()) + "\n")
    if asked.count:
        sys.stdout.write("".join(f"{name}: {n}\n" for name, n in sorted(counts.items())) + f"{sum(counts.values())} plans\n")


if __name__ == "__main__":
    main()

"""Decisions of 500 specs, frozen: whoever moves code without meaning to change a decision sees here whether one changed.

    python tests/frozen.py            # freeze what is decided now, after a change that is meant; read the diff

Every model of the catalogue stands in two or three specs, over a spread of machines, profiles, goals and pins. Of each spec the data
holds the choice, its memory in bytes, and a digest of the words and files that the engine gets; of a refusal, the rows or errors that refuse.
"""

from __future__ import annotations

import hashlib
import json
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))

from generator.decide.decision import decide  # noqa: E402
from generator.errors import InputError  # noqa: E402
from generator.plan import Plan  # noqa: E402
from generator.readers.document import Document  # noqa: E402
from generator.render.launch import launch_of  # noqa: E402
from generator.rulebook.book import RuleBook, load  # noqa: E402
from generator.spec.deployment import from_document  # noqa: E402

DATA = ROOT / "tests/data/frozen.jsonl"
COUNT = 500

MACHINES: tuple[dict[str, Any], ...] = (
    {"gpu": "T4-16GB"}, {"gpu": "V100-32GB"}, {"gpu": "RTX3060-12GB"}, {"gpu": "RTX3090-24GB", "gpus_per_node": 2}, {"gpu": "A10G-24GB"},
    {"gpu": "L4-24GB", "gpus_per_node": 4}, {"gpu": "RTX4090-24GB"}, {"gpu": "RTX4090-24GB", "host_memory_gib": 192}, {"gpu": "RTX5090-32GB"},
    {"gpu": "L40S-48GB", "gpus_per_node": 2}, {"gpu": "A100-40GB"}, {"gpu": "A100-80GB"}, {"gpu": "A100-80GB", "gpus_per_node": 8},
    {"gpu": "H100-80GB"}, {"gpu": "H100-80GB", "gpus_per_node": 4}, {"gpu": "H100-80GB", "gpus_per_node": 8, "nodes": 2},
    {"gpu": "H200-141GB", "gpus_per_node": 8}, {"gpu": "B200-180GB", "gpus_per_node": 4}, {"gpu": "B200-180GB", "gpus_per_node": 8},
    {"gpu": "RTX-PRO-6000-96GB"}, {"gpu": "GB10-128GB"}, {"gpu": "MI300X-192GB", "gpus_per_node": 8}, {"gpu": "W7900-48GB"},
    {"gpu": "M3-Max-128GB"}, {"gpu": "cpu", "memory_gib": 128},
)  # fmt: skip
PROFILES = ("chat", "batch", "rag", "agent", "code", "dev")
GOALS = ("balanced", "quality", "throughput", "latency", "cost")
PINS: tuple[dict[str, Any], ...] = (
    *({},) * 9, {"engine": "vllm"}, {"engine": "sglang"}, {"engine": "tgi"}, {"engine": "tensorrt-llm"}, {"engine": "llama.cpp"}, {"engine": "ollama"},
    {"quantization": "fp8"}, {"quantization": "awq"}, {"max_model_len": 8192}, {"engine": "vllm", "engine_version": "0.11.0"}, {"tensor_parallel": 2},
)  # fmt: skip
LIMITS: tuple[dict[str, Any], ...] = (*({},) * 5, {"concurrency": "max"}, {"tpot_ms": 50}, {"ttft_ms": 1500, "concurrency": 8}, {"max_context": 32768})


def specs(book: RuleBook) -> list[dict[str, Any]]:
    """The specs, from the catalogue as it is now."""
    dice = random.Random(500)
    models = sorted(book.section("models"))
    found = []
    for number in range(COUNT):
        workload = {"profile": dice.choice(PROFILES), "goal": dice.choice(GOALS), **dice.choice(LIMITS)}
        deploy = {"trust_remote_code": True}
        model = models[number % len(models)]
        found.append({"model": model, "hardware": dice.choice(MACHINES), "workload": workload, "pin": dice.choice(PINS), "deploy": deploy})
    return found


def decided(spec: dict[str, Any], book: RuleBook) -> dict[str, Any]:
    """What is frozen of one spec."""
    read, problems = from_document(Document("spec.yaml", {**spec, "name": "frozen"}, {}, {}), Path("spec.yaml"))
    assert read is not None, problems
    try:
        plan = decide(read, book).plan
    except InputError as error:
        return {"spec": spec, "choice": None, "errors": [problem.code for problem in error.problems]}
    choice = plan.choice
    if choice is None:
        return {"spec": spec, "choice": None, "rows": sorted({reason.row for one in plan.rejected for reason in one.reasons})}
    memory = choice.memory
    assert memory is not None
    shape = f"{choice.id} {choice.engine_version} {choice.checkpoint} x{choice.replicas} {choice.kv_cache_dtype}"
    limits = f"{choice.max_model_len} {choice.max_num_seqs} {choice.max_num_batched_tokens} {choice.gpu_memory_utilization}"
    return {"spec": spec, "choice": f"{shape} {limits}", "memory": list(memory), "words": _words(plan, book)}


def _words(plan: Plan, book: RuleBook) -> str:
    assert plan.choice is not None
    launch = launch_of(plan, plan.choice, book, "../../..")
    words = [launch.program(), launch.words(), launch.words(inside=True), launch.env(), launch.spelled.config, launch.spelled.parameters]
    return hashlib.sha256(json.dumps(words, default=str).encode()).hexdigest()[:16]


def frozen() -> Iterator[dict[str, Any]]:
    """What was decided when it was frozen."""
    yield from map(json.loads, DATA.read_text(encoding="utf-8").splitlines())


if __name__ == "__main__":
    rules = load("default")
    DATA.write_text("".join(json.dumps(decided(spec, rules)) + "\n" for spec in specs(rules)), encoding="utf-8")

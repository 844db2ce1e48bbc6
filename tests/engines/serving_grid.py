#!/usr/bin/env python3
"""300 plans with `serve` keys, and with ranks of attention and whole experts, before the real parsers of vLLM 0.33.0 and SGLang 0.5.23.

    tests/engines/vllm/setup.sh; tests/engines/sglang/setup.sh      once, 2.5 GB each
    python tests/engines/serving_grid.py > tests/engines/serving_grid.md

Of each engine the first 150 specs of a fixed order that have a plan: their command lines and files go to the engine's own parser, and
where the model's shape is known and the GPU is NVIDIA's also to `EngineArgs.create_engine_config()`, or SGLang's resolver. What only says
that there is no GPU here counts as not judged (see test_real_parsers.py). With `--dry` the plans are only counted.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[1]), str(HERE)]

from corpus import Case, _of_spec  # noqa: E402

EACH = 150
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gen-deploy" / "engines"
UNJUDGED = (
    "failed to be inspected", "Unknown quantization method: mxfp4", "Unknown quantization method: gptq.", "Torch not compiled with CUDA enabled",
    "requires platform support for Mamba cache", "connect to 'https://huggingface.co'", "Invalid repository ID", "no attribute 'position_embedding_type'",
)  # fmt: skip
"""What only says that there is no GPU here, no hub that has a draft's config, or that a catalogued config leaves out what Transformers once had."""
OFFLINE = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
VERSIONS = {"vllm": "0.33.0", "sglang": "0.5.23"}
MACHINES = (("H100-80GB", 1), ("H200-141GB", 8), ("A100-80GB", 4), ("L40S-48GB", 2), ("RTX4090-24GB", 1), ("B200-180GB", 2))
CHAT = ("Qwen/Qwen3-8B", "Qwen/Qwen2.5-7B-Instruct", "meta-llama/Llama-3.1-8B-Instruct", "Qwen/Qwen3-30B-A3B", "mistralai/Mistral-7B-Instruct-v0.3")
MTP = ("deepseek-ai/DeepSeek-R1", "deepseek-ai/DeepSeek-V3.2", "zai-org/GLM-4.5-Air", "Qwen/Qwen3-Next-80B-A3B-Instruct", "Qwen/Qwen3.6-27B",
       "Qwen/Qwen3.5-35B-A3B")  # fmt: skip
SEEING = ("Qwen/Qwen3-VL-8B-Instruct", "Qwen/Qwen3-VL-30B-A3B-Instruct", "google/gemma-3-27b-it", "Qwen/Qwen3.6-27B", "moonshotai/Kimi-K2.5")
SPREAD = ("deepseek-ai/DeepSeek-R1", "Qwen/Qwen3-235B-A22B-Instruct-2507", "moonshotai/Kimi-K2-Instruct", "Qwen/Qwen3-30B-A3B", "zai-org/GLM-4.5-Air")
KINDS: tuple[tuple[str, tuple[str, ...], tuple[dict[str, Any], ...]], ...] = (
    ("ngram", CHAT, ({"serve": {"speculative": "ngram"}}, {"serve": {"speculative": {"method": "ngram", "tokens": 3}}})),
    ("eagle3", ("meta-llama/Llama-3.1-8B-Instruct", "openai/gpt-oss-120b", "MiniMaxAI/MiniMax-M3"), ({"serve": {"speculative": "eagle3"}},)),
    ("draft", ("Qwen/Qwen3-8B", "Qwen/Qwen3-32B"), ({"serve": {"speculative": {"method": "draft", "model": "Qwen/Qwen3-0.6B", "tokens": 3}}},)),
    ("mtp", MTP, ({"serve": {"speculative": "mtp"}}, {"serve": {"speculative": {"method": "mtp", "tokens": 2}}, "workload": {"goal": "latency"}})),
    ("adapters", CHAT, ({"serve": {"adapters": {"sql": "my-org/sql-lora"}}},
                        {"serve": {"adapters": {"a": "my-org/a", "b": "/data/b", "c": "my-org/c"}, "max_adapter_rank": 64}})),
    ("images", SEEING, ({"serve": {"images": 0}}, {"serve": {"images": 2}}, {})),
    ("embed", ("Qwen/Qwen3-Embedding-0.6B", "Qwen/Qwen3-Embedding-8B", "BAAI/bge-m3", "intfloat/multilingual-e5-large"), ({"serve": {"task": "embed"}},)),
    ("rerank", ("Qwen/Qwen3-Reranker-0.6B", "Qwen/Qwen3-Reranker-4B", "BAAI/bge-reranker-v2-m3"), ({"serve": {"task": "rerank"}},)),
    ("yarn", ("Qwen/Qwen3-8B", "Qwen/Qwen2.5-7B-Instruct", "Qwen/Qwen3-30B-A3B"),
     tuple({"serve": {"context_extension": "yarn"}, "workload": {"max_context": size}} for size in (65536, 131072))),
    ("experts", SPREAD, ({"pin": {"expert_parallel": True}}, {"pin": {"data_parallel": 2, "expert_parallel": True}},
                         {"workload": {"goal": "throughput", "concurrency": 512}})),
)  # fmt: skip


def specs(engine: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The specs of an engine in a fixed order: the kinds take turns, so that the first of them have all."""
    by_kind = []
    for kind, models, variants in KINDS:
        found = []
        for (gpu, count), (number, variant), model in itertools.product(MACHINES, enumerate(variants), models):
            spec = {
                "name": "case", "model": model, "hardware": {"gpu": gpu, "gpus_per_node": count}, "deploy": {"trust_remote_code": True},
                "workload": {"profile": "chat" if kind not in ("embed", "rerank") else "batch", **variant.get("workload", {})},
                "pin": {"engine": engine, **variant.get("pin", {})}, **({"serve": variant["serve"]} if "serve" in variant else {}),
            }  # fmt: skip
            found.append((f"{kind}/{number}/{model}/{count}x{gpu}", spec))
        by_kind.append(found)
    for row in itertools.zip_longest(*by_kind):
        yield from filter(None, row)


def cases(engine: str) -> list[Case]:
    """The plans."""
    found: list[Case] = []
    with tempfile.TemporaryDirectory() as folder:
        for name, spec in specs(engine):
            seen: set[str] = set()
            found += itertools.islice(_of_spec(f"serving/{name}", json.dumps(spec), Path(folder) / "case.yaml", engine, seen), 1)
            if len(found) == EACH:
                break
    return found


def asked(engine: str, given: list[Case], *words: str) -> tuple[int, int, list[str]]:
    """How many the engine takes, how many cannot be judged here, and every refusal."""
    python = CACHE / f"{engine}-{VERSIONS[engine]}" / "bin" / "python"
    text = "".join(json.dumps(case.as_json()) + "\n" for case in given)
    command = [str(python), str(HERE / engine / f"check_{engine}.py"), *words]
    done = subprocess.run(command, input=text, text=True, capture_output=True, check=False, env=os.environ | OFFLINE)
    answers = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert len(answers) == len(given), done.stderr[-2000:]
    unjudged = [a for a in answers if a["verdict"] == "reject" and any(word in (a["error"] or "") for word in UNJUDGED)]
    bad = [f"{a['id']}: {a['stage']}: {str(a['error'])[:300]}" for a in answers if a["verdict"] != "accept" and a not in unjudged]
    return len(answers) - len(bad) - len(unjudged), len(unjudged), bad


def main() -> int:
    """Ask, and print what was said as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dry", action="store_true", help="only count the plans")
    options = parser.parse_args()
    print("<!-- Written by tests/engines/serving_grid.py. -->\n# Plans with `serve` keys before the engines' parsers\n")
    print("| engine | asked | plans | taken | not judged here | refused |\n|---|---|---:|---:|---:|---:|")
    refusals: list[str] = []
    counts: Counter[str] = Counter()
    for engine in VERSIONS:
        given = cases(engine)
        counts.update(f"{engine} {case.id.split('/')[1]}" for case in given)
        judged = [case for case in given if case.model["config"] and case.gpu["vendor"] == "nvidia"]
        rows = [("its own parser", given, ()), *([("create_engine_config()", judged, ("--engine-config",))] if engine == "vllm" else
                [("resolve_once()", judged, ("--resolve",))])]  # fmt: skip
        for what, some, words in rows:
            if options.dry:
                print(f"| {engine} {VERSIONS[engine]} | {what} | {len(some)} | | | |")
                continue
            taken, unjudged, bad = asked(engine, some, *words)
            refusals += bad
            print(f"| {engine} {VERSIONS[engine]} | {what} | {len(some)} | {taken} | {unjudged} | {len(bad)} |", flush=True)
    print("\nPlans by kind: " + ", ".join(f"{name} {count}" for name, count in sorted(counts.items())) + ".")
    for refusal in refusals:
        print(f"- {refusal}")
    return bool(refusals)


if __name__ == "__main__":
    sys.exit(main())

"""Plans made by hand, for every engine."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from generator.facts.quality import Quality
from generator.plan import Candidate, KvCache, Plan, Read, Reason, Rejection, Trace
from generator.quantity import GIB
from generator.readers.document import read_yaml
from generator.rulebook.book import RuleBook
from generator.sizing.footprint import Footprint

if TYPE_CHECKING:
    from generator.decide.vocabulary import SpecNames

ROOT = Path(__file__).parents[2]
GGUF = ("llama.cpp", "ollama")
MODEL = "Qwen/Qwen2.5-7B-Instruct"

SETTINGS: dict[str, dict[str, Any]] = {
    "vllm": {
        "served_name": "chat",
        "dtype": "bfloat16",
        "kv_cache_dtype": "auto",
        "tensor_parallel": 2,
        "max_model_len": 16384,
        "max_num_seqs": 32,
        "max_num_batched_tokens": 8192,
        "gpu_memory_utilization": 0.9,
        "trust_remote_code": False,
        "enforce_eager": True,
        "tool_call_parser": "hermes",
        "enable_auto_tool_choice": True,
    },
    "sglang": {
        "served_name": "chat",
        "dtype": "bfloat16",
        "kv_cache_dtype": "fp8",
        "tensor_parallel": 2,
        "max_model_len": 16384,
        "max_num_seqs": 32,
        "chunked_prefill_size": 8192,
        "gpu_memory_utilization": 0.85,
        "trust_remote_code": True,
        "enforce_eager": True,
        "tool_call_parser": "qwen25",
        "quantization": "fp8",
    },
    "tgi": {
        "dtype": "bfloat16",
        "kv_cache_dtype": "auto",
        "tensor_parallel": 2,
        "max_model_len": 16384,
        "max_input_tokens": 16000,
        "max_num_seqs": 32,
        "max_num_batched_tokens": 16384,
        "gpu_memory_utilization": 0.9,
        "trust_remote_code": True,
    },
    "tensorrt-llm": {
        "dtype": "bfloat16",
        "kv_cache_dtype": "fp8",
        "tensor_parallel": 2,
        "max_model_len": 16384,
        "max_num_seqs": 32,
        "max_num_batched_tokens": 8192,
        "gpu_memory_utilization": 0.9,
        "trust_remote_code": True,
        "enforce_eager": True,
        "backend": "pytorch",
        "tool_call_parser": "qwen3",
    },
    "llama.cpp": {
        "served_name": "chat",
        "ctx_size": 65536,
        "max_num_seqs": 4,
        "gpu_layers": "all",
        "flash_attention": "on",
        "cache_type_k": "q8_0",
        "cache_type_v": "q8_0",
        "max_num_batched_tokens": 2048,
        "ubatch_size": 512,
        "jinja": True,
        "cache_ram": 0,
        "fit": "off",
    },
    "ollama": {
        "max_model_len": 16384,
        "max_num_seqs": 4,
        "gpu_layers": -1,
        "kv_cache_dtype": "q8_0",
        "flash_attention": True,
        "max_num_batched_tokens": 512,
        "keep_alive": "-1",
    },
}

VENDORS = {"A100-80GB": "nvidia", "MI300X-192GB": "amd", "M3-Max-128GB": "apple", "Arc": "intel", "cpu": "cpu"}


@functools.lru_cache(1)
def book() -> RuleBook:
    """The engines' facts and the sources as they stand in the tree; the policy is not needed here."""
    engines = {path.stem: read_yaml(path).data for path in sorted((ROOT / "rules/facts/engines").glob("*.yaml"))}
    sources: dict[str, Any] = {}
    for path in sorted((ROOT / "rules/sources").glob("*.yaml")):
        sources |= read_yaml(path).data["sources"]
    flags = {path.stem: read_yaml(path).data for path in sorted((ROOT / "rules/facts/flags").glob("*.yaml"))}
    platforms: dict[str, Any] = {}
    for path in sorted((ROOT / "rules/facts/platforms").glob("*.yaml")):
        platforms |= read_yaml(path).data["platforms"]
    policy = {"thresholds": read_yaml(ROOT / "rules/physics/start_up.yaml").data["thresholds"]}
    return RuleBook({"engines": engines, "flags": flags, "sources": sources, "platforms": platforms, "policy": policy})


def engines() -> list[str]:
    """Every engine of the catalogue."""
    return sorted(SETTINGS)


def candidate(engine: str, **changes: Any) -> Candidate:
    """A candidate of an engine; `settings` are laid over those above, with None for one that goes."""
    gguf = engine in GGUF
    settings = {**SETTINGS[engine], **changes.pop("settings", {})}
    base = Candidate(
        engine=engine,
        engine_version=book().section("engines")[engine]["default_version"],
        method="gguf-q4_k_m" if gguf else "bf16",
        bits=4.0 if gguf else 16.0,
        group_size=None,
        checkpoint=f"{MODEL}-GGUF" if gguf else MODEL,
        revision=None,
        gguf_file="q4_k_m" if gguf else None,
        origin="published" if gguf else "native",
        dtype="bfloat16",
        tensor_parallel=1 if gguf else 2,
        max_model_len=16384,
        max_num_seqs=32,
        max_num_batched_tokens=8192,
        gpu_memory_utilization=0.9,
        settings={k: v for k, v in settings.items() if v is not None},
        memory=Footprint(15 * GIB, 40 * GIB, 9 * GIB, 3 * GIB, GIB, GIB, 71 * GIB, 79 * GIB),
        kv_cache=KvCache(57344, 749_000, 45.7),
        quality=Quality(0.3, 0.0, 0.8, None),
        thumb={"memory_gb": 18.3, "tokens_per_second": 90.0, "memory_ratio": 0.5},
    )
    return replace(base, **changes)


def plan(
    choice: Candidate | None,
    *,
    deploy: Mapping[str, Any] | None = None,
    hardware: Mapping[str, Any] | None = None,
    **changes: Any,
) -> Plan:
    """A plan with that choice."""
    out = Rejection(
        candidate("tgi", method="fp8"),
        (
            Reason(
                "out-of-memory",
                "it does not fit",
                None,
                {"memory.headroom": Read(-0.2)},
                "rules/default/reject.yaml:12",
            ),
        ),
    )
    spec = {
        "name": "chat",
        "model": {"id": MODEL},
        "hardware": {"gpu": "A100-80GB", "gpus_per_node": 2, "nodes": 1, **(hardware or {})},
        "workload": {"profile": "chat", "concurrency": 4, "input_tokens": 500, "output_tokens": 100},
        "deploy": {
            "targets": ["script", "compose"],
            "served_name": "chat",
            "host": "127.0.0.1",
            "port": 8000,
            **(deploy or {}),
        },
    }
    trace = (
        Trace(
            "settings",
            "context",
            {"set": {"max_model_len": 16384}},
            {"max_context": Read(16384, "spec")},
            "the spec asks for it",
            None,
            "rules/default/settings.yaml:3",
        ),
    )
    gpu: Any = (hardware or {}).get("gpu", "A100-80GB")
    facts = {"model.chat": True, "gpu.vendor": gpu["vendor"] if isinstance(gpu, Mapping) else VENDORS[gpu], **changes.pop("facts", {})}
    return replace(Plan("chat", "default", "0" * 16, spec, choice, (), (out,), (), trace, cast("SpecNames", facts)), **changes)

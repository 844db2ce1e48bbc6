"""Logged starts and known fits as specs, and what the plan says of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from generator.decide.decision import decide
from generator.plan import Candidate, Plan
from generator.rulebook.book import RuleBook, load
from generator.spec.deployment import read_spec

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "tests" / "data"
PINS = (
    "quantization",
    "engine_version",
    "max_model_len",
    "max_num_seqs",
    "max_num_batched_tokens",
    "gpu_memory_utilization",
    "kv_cache_dtype",
    "enforce_eager",
)


@cache
def book() -> RuleBook:
    """The shipped rules."""
    return load("default")


def starts() -> list[dict[str, Any]]:
    """The starts of vLLM with what was logged."""
    rows: list[dict[str, Any]] = yaml.safe_load((DATA / "memory" / "starts.yaml").read_text(encoding="utf-8"))["starts"]
    return rows


def pinned_start(row: dict[str, Any]) -> dict[str, Any]:
    """A start as a spec: everything that the log shows is pinned."""
    start = row["start"]
    tensor, pipeline = start.get("tensor_parallel", 1), start.get("pipeline_parallel", 1)
    hardware = {"gpu": start.get("gpu", "H200-141GB"), "gpus_per_node": tensor * pipeline}
    if start.get("memory_gib"):
        hardware["memory_gib"] = start["memory_gib"]
    pin = {"engine": "vllm", "tensor_parallel": tensor, "pipeline_parallel": pipeline, **{key: start[key] for key in PINS if key in start}}
    return spec(start["config"], hardware, pin)


def spec(config: str, hardware: dict[str, Any], pin: dict[str, Any]) -> dict[str, Any]:
    """A spec for a file of tests/data/configs, with a workload that asks for one whole sequence."""
    model = {"id": config.replace("__", "/"), "config": str(DATA / "configs" / f"{config}.json")}
    return {"version": 1, "name": "start", "model": model, "hardware": hardware, "pin": pin, "workload": _workload(pin)}


def _workload(pin: dict[str, Any]) -> dict[str, Any]:
    length = pin.get("max_model_len")
    return {"max_context": length, "input_tokens": 1, "output_tokens": 1, "concurrency": 1} if length else {}


def planned(data: dict[str, Any], folder: Path) -> Plan:
    """The plan of a spec given as data."""
    path = folder / "start.yaml"
    path.write_text(json.dumps(data), encoding="utf-8")
    return decide(read_spec(path), book()).plan


def sized(plan: Plan) -> Candidate:
    """The pinned candidate, whether it was taken or refused."""
    if plan.choice is not None:
        return plan.choice
    return next(r.candidate for r in plan.rejected if r.candidate.memory is not None)


def not_understood() -> set[str]:
    """Facts that the memory model is known to get wrong."""
    data = yaml.safe_load((DATA / "memory" / "fits.yaml").read_text(encoding="utf-8"))
    return {fact["id"] for fact in data["facts"] if fact.get("open")}


def facts(folder: Path) -> Iterator[tuple[str, bool, dict[str, Any]]]:
    """Whether something fitted: (id, fits, spec). Shapes without a file are written into `folder`."""
    data = yaml.safe_load((DATA / "memory" / "fits.yaml").read_text(encoding="utf-8"))
    for fact in data["facts"]:
        found = spec(fact.get("config", "none"), fact["hardware"], fact["pin"])
        if "shape" in fact:
            path = folder / f"{fact['id']}.json"
            path.write_text(json.dumps(fact["shape"]), encoding="utf-8")
            found["model"] = {"id": "test/model", "config": str(path)}
        elif "model" in fact:
            found["model"] = fact["model"]
        yield fact["id"], fact["fits"], found
    bench = data["bench"]
    for model, name in (("8b", "meta-llama/Llama-3.1-8B-Instruct"), ("70b", "meta-llama/Llama-3.3-70B-Instruct")):
        for method, lists in bench[model].items():
            for fits, word in ((True, "ok"), (False, "oom")):
                for card in lists.get(word, ()):
                    gpu, _, count = card.partition(" ")
                    stages = int(count or 1)
                    pin = {
                        "engine": "llama.cpp",
                        "engine_version": bench["build"],
                        "quantization": method,
                        "max_model_len": bench["context"],
                        "max_num_seqs": 1,
                        "max_num_batched_tokens": 512,
                        "pipeline_parallel": stages,
                    }
                    hardware = {"gpu": gpu, "gpus_per_node": stages}
                    yield f"{model}-{method}-{card.replace(' ', '-x')}", fits, {**spec("none", hardware, pin), "model": name}
    for row in starts():
        start, logged = row["start"], row["logged"]
        served = logged.get("kv_tokens", 0) >= start.get("max_model_len", 1 << 60)
        if served and "kv_tokens" in row["score"] and row["id"] not in {fact["id"] for fact in data["facts"]}:
            yield row["id"], True, pinned_start(row)

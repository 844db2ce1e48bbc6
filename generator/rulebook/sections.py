"""What the entries of a rule set hold, as far as Python reads them by name; `rules/schemas` says the whole form of each.

Floor 1. For type checks only: imported under `TYPE_CHECKING`, as every start would pay for building the types. Which keys are
always there is said by the schemas and by `facts_check.NEEDED`."""
# ruff: noqa: UP013 - a class would take a line for each key

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypedDict

Source = str | list[str] | None
Handbook = Mapping[Literal["memory_gb", "tokens_per_second", "speed"], float]

Gpu = TypedDict("Gpu", {
    "vendor": str, "architecture": str, "aliases": list[str], "compute_capability": float | None, "multiprocessors": int, "unified_memory": bool,
    "memory_gb": float, "capacity_gib": float, "bandwidth_gb_per_s": float, "interconnect": str, "interconnect_gb_per_s": float,
    "fp16_tflops": float, "fp8_tflops": float, "fp4_tflops": float, "int8_tops": float, "handbook": Handbook, "source": Source,
    "memory_gib": float, "mig": Mapping[str, Mapping[Literal["memory_gib", "multiprocessors"], float]],
}, total=False)  # fmt: skip
"""`memory_gib` is only in what a spec says itself."""

Ask = TypedDict("Ask", {
    "command": list[str], "vendor": str, "device": str, "name": str, "memory": str, "capability": str, "bytes": int, "within": float, "least_gib": float,
}, total=False)  # fmt: skip
GpuNames = TypedDict("GpuNames", {
    "front": list[str], "anywhere": list[str], "elsewhere": list[str], "use": str, "ask": Ask, "source": Source,
}, total=False)  # fmt: skip
Architecture = TypedDict("Architecture", {
    "vendor": str, "title": str, "compute_capabilities": list[float], "computes": list[str], "back_end": str, "back_ends": Mapping[str, str],
    "speed": Mapping[Literal["compute", "host"], str],
    "measured": bool, "like": str, "engines": list[str], "source": Source,
}, total=False)  # fmt: skip
GgmlType = TypedDict("GgmlType", {"bits_per_weight": float, "block": int})

Clause = TypedDict("Clause", {"type": str, "where": str, "imatrix": bool, "experts": int}, total=False)
GgufMixture = TypedDict("GgufMixture", {
    "base": str, "output": str, "token_embedding": str, "lookup": str, "norm": str, "experts": Clause, "experts_8": Mapping[str, str],
    "class_70b": Mapping[str, Mapping[str, str]], "imatrix": str, "overrides": Mapping[str, str],
}, total=False)  # fmt: skip
"""Under the name of each other kind of tensors lies a clause, or several; `overrides` goes before them (what a spec sets by hand too)."""

Method = TypedDict("Method", {
    "title": str, "family": str, "weight_bits": float, "activation_bits": float, "group_size": int | None, "block": list[int] | None,
    "scale_bits": int, "zero_bits": int, "zero_point": bool, "strategy": str, "keeps_16bit": list[str], "checkpoint": str,
    "online": Mapping[str, str], "support_key": Mapping[str, str], "gguf": GgufMixture, "handbook": Handbook, "source": Source,
    "layout": str, "in_fp8": list[str],
}, total=False)  # fmt: skip
"""`layout` and `in_fp8` are only in an entry as one checkpoint has it."""

Checkpoint = TypedDict("Checkpoint", {
    "id": str, "layout": str, "group_size": int, "padded": Mapping[str, int], "types": list[str], "publisher": str, "ignore": list[str],
    "in_fp8": list[str], "fp8_cache": bool, "bytes": int, "gb": float, "gib": Mapping[str, float], "file": str, "source": Source,
}, total=False)  # fmt: skip
Model = TypedDict("Model", {
    "family": str, "aliases": list[str], "config": Mapping[str, object] | None, "same_shape_as": str, "config_overrides": Mapping[str, object],
    "parameters_billion": float, "fp16_gb": float, "chat": bool, "gated": bool, "trust_remote_code": bool | str, "revision": str,
    "task": str, "overrides": dict[str, dict[str, object]],
    "drafts": dict[str, dict[str, object]],
    "checkpoints": Mapping[str, Checkpoint | list[Checkpoint]], "tool_call_parser": Mapping[str, str], "reasoning_parser": Mapping[str, str], "tags": list[str],
    "tokenizer_mode": Mapping[str, str], "tool_template": Mapping[str, str], "min_version": Mapping[str, str], "source": Source,
}, total=False)  # fmt: skip

Family = Mapping[str, Any]
"""The traits of a `model_type`: `architecture/families.py` has them in types."""

Publisher = TypedDict("Publisher", {"because": str, "source": Source})

Maker = TypedDict("Maker", {
    "scheme": str, "algorithm": str, "group_sizes": list[int], "stored": Mapping[str, int], "not_for": list[str],
    "recipe": list[Mapping[str, Mapping[str, object]]], "transform": str, "plain": list[Mapping[str, Mapping[str, object]]], "bounds": Mapping[str, float],
    "quantization": Mapping[str, object], "source": list[str],
}, total=False)  # fmt: skip
Quantizer = TypedDict("Quantizer", {
    "title": str, "version": str, "package": str, "program": str, "common": list[str], "requirements": list[str], "layout": str, "layers": str,
    "all_gpus": bool, "patterns": Mapping[str, list[str]], "also_wide": list[Mapping[Literal["model_types", "roles"], list[str]]],
    "makes": Mapping[str, Maker], "types": Mapping[str, str], "kv_cache": Mapping[str, object],
}, total=False)  # fmt: skip

TrainingMemory = TypedDict("TrainingMemory", {
    "kind": str, "teacher": Literal["none", "same", "other"], "teacher_split": bool, "loss": str, "quantisers": bool, "generates": bool,
    "algorithm": str,
}, total=False)  # fmt: skip
TrainingMethod = TypedDict("TrainingMethod", {
    "library": str, "package": str, "version": str, "requirements": list[str], "settings": Mapping[str, Mapping[str, object]],
    "numbers": Mapping[str, Mapping[str, str]], "memory": TrainingMemory, "engines": list[str], "note": str, "proven": str, "source": list[str],
}, total=False)  # fmt: skip
TrainingJob = TypedDict("TrainingJob", {
    "title": str, "program": str, "common": list[str], "result": str, "numbers": Mapping[str, Mapping[str, str]],
    "methods": Mapping[str, TrainingMethod],
}, total=False)  # fmt: skip

Loss = TypedDict("Loss", {"value": float, "low": float, "high": float})
Quality = TypedDict("Quality", {
    "method": str, "models_from_billion": float, "models_below_billion": float, "loss_percent": Loss, "experts": str, "metric": str,
    "models": list[str], "source": Source,
}, total=False)  # fmt: skip

Name = TypedDict("Name", {"stage": str, "type": str, "values": list[str], "from": str, "unit": str, "origin": str}, total=False)
Threshold = TypedDict("Threshold", {
    "meaning": str, "unit": str, "value": float, "since": str, "by_version": "list[Threshold]", "source": str | None, "checked": str,
}, total=False)  # fmt: skip
"""`by_version` has a `since`, a value and perhaps a source for each span of versions."""

Row = TypedDict("Row", {
    "id": str, "when": Mapping[str, object], "because": str, "source": str | None, "set": Mapping[str, object], "rank": Mapping[str, str],
    "order": Mapping[str, list[object]], "beyond": str, "unbeaten": Mapping[str, list[str]], "at": str, "index": int,
}, total=False)  # fmt: skip
Table = TypedDict("Table", {"hit": str, "rows": list[Row], "at": str})
Ruleset = TypedDict("Ruleset", {"name": str, "sizing": str, "digest": str, "fallback": Mapping[str, str]}, total=False)
Policy = TypedDict("Policy", {
    "ruleset": Ruleset, "names": Mapping[str, Name], "settings": Mapping[str, Mapping[str, object]],
    "thresholds": Mapping[str, Threshold], "tables": Mapping[str, Table],
})  # fmt: skip

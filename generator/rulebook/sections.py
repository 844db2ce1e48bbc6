"""What the entries of a rule set hold: rows and what they read, GPUs and models key by key; of all other facts only their schema says it.

Floor 1. For type checks only: imported under `TYPE_CHECKING`, as every start would pay for building the types. Which keys are
always there is said by the schemas and by `facts_check.NEEDED`."""
# ruff: noqa: UP013 - a class would take a line for each key

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias, TypedDict

Source = str | list[str] | None
Handbook = Mapping[Literal["memory_gb", "tokens_per_second", "speed"], float]

Gpu = TypedDict("Gpu", {
    "vendor": str, "architecture": str, "aliases": list[str], "compute_capability": float | None, "multiprocessors": int, "unified_memory": bool,
    "memory_gb": float, "capacity_gib": float, "bandwidth_gb_per_s": float, "interconnect": str, "interconnect_gb_per_s": float,
    "fp16_tflops": float, "fp8_tflops": float, "fp4_tflops": float, "int8_tops": float, "handbook": Handbook, "source": Source,
    "memory_gib": float, "mig": Mapping[str, Mapping[Literal["memory_gib", "multiprocessors"], float]],
}, total=False)  # fmt: skip
"""`memory_gib` is only in what a spec says itself."""

Checkpoint = TypedDict("Checkpoint", {
    "id": str, "layout": str, "group_size": int, "padded": Mapping[str, int], "types": list[str], "publisher": str, "ignore": list[str],
    "in_fp8": list[str], "narrow": list[str], "fp8_cache": bool, "bytes": int, "gb": float, "gib": Mapping[str, float], "file": str, "source": Source,
}, total=False)  # fmt: skip
Model = TypedDict("Model", {
    "family": str, "aliases": list[str], "config": Mapping[str, object] | None, "same_shape_as": str, "config_overrides": Mapping[str, object],
    "parameters_billion": float, "fp16_gb": float, "chat": bool, "gated": bool, "trust_remote_code": bool | str, "revision": str,
    "task": str, "overrides": dict[str, dict[str, object]],
    "drafts": dict[str, dict[str, object]],
    "checkpoints": Mapping[str, Checkpoint | list[Checkpoint]], "tool_call_parser": Mapping[str, str], "reasoning_parser": Mapping[str, str], "tags": list[str],
    "tokenizer_mode": Mapping[str, str], "tool_template": Mapping[str, str], "min_version": Mapping[str, str], "source": Source,
}, total=False)  # fmt: skip

Entry = Mapping[str, Any]
"""An entry of other facts. `rules/schemas/` has the form of each kind, which every rule set is checked against."""
Architecture: TypeAlias = Entry
GgmlType: TypeAlias = Entry
Clause: TypeAlias = Entry
Method: TypeAlias = Entry
Maker: TypeAlias = Entry
Quantizer: TypeAlias = Entry
TrainingMethod: TypeAlias = Entry
Quality: TypeAlias = Entry

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

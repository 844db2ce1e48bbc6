"""Published figures as cases: which model, GPU, method and load a row of the file means.

A row names its model and GPU as its source does. What the catalogue knows under another name, and the few models that
it does not know, stand in names.yaml beside this file.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from generator.architecture.config import from_config
from generator.architecture.shape import ModelArchitecture
from generator.errors import fold
from generator.facts.model import shape_of
from generator.rulebook.book import RuleBook
from generator.rulebook.sections import Gpu

NAMES = yaml.safe_load((Path(__file__).parent / "names.yaml").read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Case:
    """One measurement. `concurrency` None: as many as the cache holds; `group` is the class that it is scored in.

    `burst`: all requests came at once (`arrival=burst` in the note); else a closed loop.
    """

    id: str
    source: str
    engine: str
    model: str
    gpu: str
    method: str
    kv_bits: float
    tensor: int
    pipeline: int
    nodes: int
    input_tokens: int
    output_tokens: int
    concurrency: int | None
    metric: str
    value: float
    group: str
    note: str
    burst: bool = False

    @property
    def pair(self) -> tuple[str, str]:
        """The model on the GPU: what is held out together."""
        return self.model, self.gpu


def gpu_entry(name: str, book: RuleBook) -> Gpu | None:
    """The catalogue's entry of a GPU as a source names it."""
    gpus = book.section("gpus")
    for word in (NAMES["gpus"].get(name), name):
        key = book.index("gpus").get(fold(word)) if isinstance(word, str) else None
        if key:
            return gpus[key]
    listed: Gpu | str | None = NAMES["gpus"].get(name)
    return listed if isinstance(listed, dict) else None


_found: dict[str, ModelArchitecture | None] = {}


def architecture(name: str, book: RuleBook) -> ModelArchitecture | None:
    """The architecture of a model as a source names it, always the same object; None where nobody knows it."""
    if name not in _found:
        listed = NAMES["models"].get(name, name)
        key = None if isinstance(listed, dict) else book.index("models").get(fold(listed))
        _found[name] = from_config(listed, book.section("families")) if isinstance(listed, dict) else shape_of(key, book) if key else None
    return _found[name]


def cases(path: Path) -> Iterator[Case]:
    """The rows of a file that mean something here, each in its class."""
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            case = _case(row)
            if case is not None:
                yield case


def _case(row: dict[str, str]) -> Case | None:
    method = NAMES["methods"].get(row["quant"])
    if method is None or not float(row["value"] or 0):
        return None
    group = _group(row)
    if group is None or any(all(row[key] == value for key, value in aside["rows"].items()) for aside in NAMES["set_aside"]):
        return None
    concurrency = row["concurrency"]
    engine = NAMES["engines"].get(row["engine"])
    if engine == "llama.cpp" and method == "awq":
        method = "gguf-q4_0"  # "4 bits" of llama.cpp in sources that compare engines
    tensor, pipeline = tensor_of(row), int(row["pp"] or 1)
    if tensor is None:
        return None
    together = NAMES["gpus_of_a_node"].get(row["gpu"], 8)
    return Case(
        id=row["id"], source=row["source"], engine=engine, model=row["model"], gpu=row["gpu"], method=method,
        kv_bits=_kv_bits(row, method, engine),
        tensor=tensor, pipeline=pipeline, nodes=-(-tensor * pipeline // together),
        input_tokens=int(row["isl"] or 0), output_tokens=int(row["osl"] or 0),
        concurrency=None if concurrency in ("max", "") else int(float(concurrency)),
        metric=row["metric"], value=float(row["value"]), group=group, note=row["note"],
        burst="arrival=burst" in row["note"],
    )  # fmt: skip


PARALLEL = re.compile(r"attn_dp=(\d*) moe_tp=(\d+) moe_ep=(\d+);")
MOST_TENSOR = 8


def tensor_of(row: dict[str, str]) -> int | None:
    """Ways of tensor parallelism; None where attention is data-parallel, which no plan is, or where no server was like the row.

    AIConfigurator's table says expert parallelism inside a tensor-parallel group in two ways: t GPUs with t ways of experts
    stand also as t² GPUs with t × t (the same measurements, to the digit, with the same settings otherwise), and for vLLM as
    t data-parallel copies of t GPUs.
    """
    tensor, found = int(row["tp"] or 1), PARALLEL.search(row["note"])
    if found:
        copies, ways, expert_ways = int(found[1] or 0), max(1, int(found[2])), max(1, int(found[3]))
        if ways == expert_ways > 1 and tensor == ways * expert_ways:
            tensor = ways
        elif (copies > 1 and not (row["engine"] == "vllm" and copies == tensor)) or (not copies and ways * expert_ways > tensor):
            return None
    return tensor if tensor <= MOST_TENSOR else None  # more: the sum of a disaggregated run


def _kv_bits(row: dict[str, str], method: str, engine: str) -> float:
    """Bits of a cached value: as the row or the launch script says; else TensorRT-LLM keeps FP8 with low-precision weights, and the
    others what their `auto` is, 16 bits.
    """
    if row["kv_dtype"]:
        return 8.0 if row["kv_dtype"].startswith("fp8") else 16.0
    listed = any(all(row[key] == value for key, value in entry.items()) for entry in NAMES["fp8_cache"])
    return 8.0 if listed or (engine == "tensorrt-llm" and method in ("fp8", "nvfp4")) else 16.0


def _group(row: dict[str, str]) -> str | None:
    """The class of a row; None for what this model of speed is not about (disaggregated serving, other engines)."""
    source, metric, note = row["source"], row["metric"], row["note"]
    engine = NAMES["engines"].get(row["engine"])
    moe = row["active_b"] not in ("", row["params_b"])
    if engine is None or "disagg" in note:
        return None
    if engine == "llama.cpp":
        if metric in ("tpot", "ttft"):
            return f"{metric.upper()} llama.cpp"
        if metric not in ("decode_tps", "prefill_tps") or ("backend=Vulkan" in note and "apple" in row["gpu"].lower()):
            return None  # a Mac runs Metal, not Vulkan through a translation
        return "llama.cpp decode" if metric == "decode_tps" else "llama.cpp prefill"
    kind = "MoE" if moe else "dense"
    if metric == "output_throughput":
        static = "static" in note or "static" in source or row["concurrency"] not in ("max", "")
        return f"TensorRT-LLM {'static batch' if static else 'maximum'} {kind}"
    if metric == "tpot":
        return f"TPOT {engine} {kind}"
    if metric == "ttft":
        if source == "trtllm-static":
            return "first token, batch 1"
        return f"TTFT {engine} {kind}"
    if metric == "decode_tps" and engine == "vllm":
        return "vLLM batch 1"
    return None

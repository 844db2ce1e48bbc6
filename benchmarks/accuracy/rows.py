"""What the rows of logged starts name, resolved: models, cards, methods, builds, and the plan of a pinned start."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from generator.architecture.config import from_config
from generator.architecture.shape import ModelArchitecture
from generator.decide.decision import decide
from generator.errors import GenDeployError, fold
from generator.facts.model import shape_of
from generator.readers.document import read_json
from generator.render.plan_json import as_json
from generator.rulebook.book import load
from generator.rulebook.sections import Method
from generator.spec.deployment import read_spec

Row = dict[str, Any]

SUFFIX = re.compile(
    r"[-_. ](awq|gptq|fp8|int4|nvfp4|w8a8|w4a8|bf16|gguf|ud|q\d\w*|iq\d\w*|instruct|it|mindie|quarot|per[-_]channel|exp|mtp)\b.*$",
    re.IGNORECASE,
)
"""What names of prepared checkpoints add to the model's own name."""

METHODS = {"awq": "awq", "awq_marlin": "awq", "gptq": "gptq", "bf16": "bf16", "fp16": "fp16", "fp8": "fp8", "mxfp4": "mxfp4"}


class NotScorable(Exception):
    """Why a row says too little for a class."""


class Known:
    """The rule book, and the config files of a folder by model name."""

    def __init__(self, configs: Path | None) -> None:
        self.book = load("default")
        files = sorted(configs.glob("*.json")) if configs else []
        self.configs = {fold(path.stem.partition("__")[2]): path for path in files}
        self._shapes: dict[str, ModelArchitecture | None] = {}

    # -- models

    def config(self, row: Row) -> Path | None:
        """The config.json of the row's model: by its name, or by the name without what a checkpoint adds."""
        for name in _names(row):
            path = self.configs.get(fold(name))
            if path is not None:
                return path
        for name in _names(row):
            near = [path for key, path in self.configs.items() if key.startswith(fold(name)) and len(fold(name)) >= 6]
            if len(near) == 1 or (near and len({_body(path) for path in near}) == 1):
                return near[0]
        return None

    def architecture(self, row: Row) -> ModelArchitecture | None:
        """The row's model, from a config file or the catalogue."""
        key = str(row.get("model"))
        if key not in self._shapes:
            self._shapes[key] = self._architecture(row)
        return self._shapes[key]

    def _architecture(self, row: Row) -> ModelArchitecture | None:
        path = self.config(row)
        if path is not None:
            return from_config(read_json(path), self.book.section("families"))
        name = self.listed(row)
        return shape_of(name, self.book) if name else None

    def own_config(self, row: Row) -> bool:
        """Whether the config is of the row's own checkpoint as far as quantisation goes: what others kept in 16 bits is not known."""
        word, model = METHODS.get(str(row.get("quant"))), self.architecture(row)
        if word not in ("awq", "gptq") or model is None:
            return True
        return model.quantization is not None and model.quantization.method == word

    def listed(self, row: Row) -> str | None:
        """The row's model in the catalogue."""
        index = self.book.index("models")
        bodies = {key.partition("/")[2] or key: name for key, name in ((n.lower(), n) for n in self.book.section("models"))}
        for name in _names(row):
            found = index.get(fold(name)) or bodies.get(name.lower())
            if found:
                return str(found)
        return None

    def dimensions(self, row: Row) -> ModelArchitecture | None:
        """A model of the dimensions that a llama.cpp log prints."""
        needed = [row.get(key) for key in ("n_vocab", "n_embd", "n_layer")]
        if not all(needed):
            return None
        heads = int(str(row.get("n_head") or 0)) if str(row.get("n_head") or "0").isdigit() else 0
        return ModelArchitecture(
            model_type=str(row.get("arch")), layers=row["n_layer"], hidden_size=row["n_embd"], intermediate_size=0,
            vocab_size=row["n_vocab"], attention_heads=heads, kv_heads=0, head_dim=row["n_embd"] // heads if heads else 0,
            max_context=0, dtype="bf16", matrices=(), caches=(),
        )  # fmt: skip

    # -- numbers and methods

    def number(self, name: str, version: str) -> float:
        """A threshold for a version."""
        return float(self.book.number(name, version))

    def numbers(self, version: str, replaced: Mapping[str, float]) -> Callable[[str], float]:
        """Thresholds for a version, some replaced by what the row says."""
        return lambda name: replaced[name] if name in replaced else float(self.book.number(name, version))

    def kv_bits(self, dtype: str | None) -> float:
        """Bits of one cached value."""
        dtypes = self.book.section("kv_cache")["dtypes"]
        entry = dtypes.get({"fp8_e4m3": "fp8", None: "auto"}.get(dtype, dtype)) or {}
        return float(entry.get("bits_per_value", 16.0))

    def gguf_method(self, row: Row) -> Method | None:
        """The mixture of the row's GGUF type, as llama.cpp names it (`Q4_K - Medium`, `IQ4_XS - 4.25 bpw`)."""
        word = str(row.get("quant") or "").upper().replace(" - SMALL", "_S").replace(" - MEDIUM", "_M").replace(" - LARGE", "_L")
        word = word.partition(" - ")[0].strip().lower()
        return self.book.section("methods").get(f"gguf-{word}")

    def build(self, row: Row) -> str | None:
        """The llama.cpp build of a row; the fork counts as one that reserves all outputs."""
        if row["engine"] == "ik_llama.cpp":
            return "b1"
        number = re.search(r"(?:build:\s*|b)(\d{3,6})", str(row.get("version") or ""))
        return f"b{number[1]}" if number else None

    # -- the whole plan

    def plan(self, row: Row, engine: str, pins: Mapping[str, str], version: str | None = None) -> tuple[dict[str, Any], dict[str, Any]]:
        """Memory and KV cache of the pinned start, whether the plan takes it or rejects it."""
        spec = self._spec(row, engine, pins, version)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "start.yaml")
            path.write_text(json.dumps(spec), encoding="utf-8")
            try:
                plan = as_json(decide(read_spec(path), self.book).plan)
            except GenDeployError as error:
                raise NotScorable(str(error).splitlines()[0][-160:]) from None
        candidates = ([{**plan["choice"], "memory": plan["memory"], "kv_cache": plan["kv_cache"]}] if plan["choice"] else []) + plan[
            "rejected"
        ]
        for candidate in candidates:
            same = candidate["engine"] == engine and candidate["tensor_parallel"] == (row.get("tp") or 1)
            if same and candidate.get("memory"):
                return candidate["memory"], candidate["kv_cache"]
        raise NotScorable("the plan has no such candidate")

    def _spec(self, row: Row, engine: str, pins: Mapping[str, str], version: str | None) -> dict[str, Any]:
        gpu = self._gpu(str(row.get("gpu") or ""))
        path, name = self.config(row), self.listed(row)
        if gpu is None:
            raise NotScorable("the card is not named")
        if path is None and name is None:
            raise NotScorable("no config of the model")
        parallel = row.get("tp") or 1
        number = re.match(r"\d+(\.\d+)+(rc\d+)?$", str(row.get("version") or ""))
        pin: dict[str, Any] = {"engine": engine, "tensor_parallel": parallel, "pipeline_parallel": row.get("pp") or 1}
        pin |= {ours: row[theirs] for theirs, ours in pins.items() if isinstance(row.get(theirs), int) and row[theirs] > 0}
        if version or number:
            pin["engine_version"] = version or str(row["version"])
        fraction = row.get("mem_fraction_static") or row.get("free_gpu_memory_fraction")
        if fraction:
            pin["gpu_memory_utilization"] = fraction
        if row.get("kv_dtype") in ("fp8", "fp8_e4m3", "fp8_e5m2"):
            pin["kv_cache_dtype"] = "fp8_e5m2" if row["kv_dtype"] == "fp8_e5m2" else "fp8"
        method = METHODS.get(str(row.get("quant")))
        if method:
            pin["quantization"] = method
        context = row.get("max_model_len") or row.get("context_len") or row.get("max_seq_len") or row.get("max_total_tokens")
        hardware = {"gpu": gpu, "gpus_per_node": parallel * (row.get("pp") or 1)}
        if row.get("gpu_total_gib"):
            hardware["memory_gib"] = row["gpu_total_gib"]
        model = {"id": name or (path.stem.replace("__", "/") if path else ""), **({"config": str(path.resolve())} if path else {})}
        workload = {"max_context": context, "input_tokens": 1, "output_tokens": 1, "concurrency": 1} if context else {}
        return {"version": 1, "name": "start", "model": model, "hardware": hardware, "pin": pin, "workload": workload}

    def _gpu(self, text: str) -> str | None:
        """A card of the catalogue from the words of a row (`RTX 3090 24GB`, `H100 80GB`, `DGX Spark GB10 (…)`)."""
        index = self.book.index("gpus")
        head = text.partition("(")[0].strip()
        for words in (head, head.replace(" ", "-"), *head.split()):
            if words and index.get(fold(words)) and not words.isdigit():
                return str(index[fold(words)])
        return None


def _names(row: Row) -> list[str]:
    """The model's name as the row has it, then with less and less of what a checkpoint's name adds."""
    whole = str(row.get("model") or "").partition(" (")[0].strip()
    name = whole.rpartition("/")[2]
    found = [whole, name, name.replace(" ", "-")]
    while (shorter := SUFFIX.sub("", found[-1])) != found[-1]:
        found.append(shorter)
    return [each for each in dict.fromkeys(found) if each]


def _body(path: Path) -> str:
    """The shape of a config, whoever published it."""
    data = json.loads(path.read_bytes())
    text = data.get("text_config") or data
    return json.dumps([text.get(key) for key in ("hidden_size", "num_hidden_layers", "num_attention_heads", "vocab_size")])

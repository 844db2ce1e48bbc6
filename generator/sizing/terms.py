"""The terms of one GPU's memory for a reader: each with its formula, what went into it, and whose word that is.

Floor 2, pure. The figures are those of the plan, handed in; nothing is computed again here. Formulas are written as in the
module of the engine, `generator/sizing/<engine>.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from generator.architecture.shape import ModelArchitecture
from generator.quantity import gib
from generator.sizing.footprint import Footprint, Layout, Load, Numbers

Sources = Callable[[str], str | None]
"""The source key of a threshold for the engine version that is planned."""


@dataclass(frozen=True, slots=True)
class Term:
    """One term: GiB on the fullest GPU, the formula in words of the documentation, its inputs, and a source key."""

    name: str
    gib: float
    formula: str
    inputs: tuple[tuple[str, str], ...]
    source: str | None


class Sized(NamedTuple):
    """What was sized: the model, how it is split and loaded, under which thresholds, and the result."""

    engine: str
    architecture: ModelArchitecture
    layout: Layout
    load: Load
    footprint: Footprint
    fraction: float | None
    bytes_per_token: int
    tokens: int
    bits: float
    gguf: bool
    cpu: bool
    numbers: Numbers
    sources: Sources


def terms(sized: Sized) -> list[Term]:
    """Weights, KV cache, activations, CUDA graphs and run-time buffers, in the order of the memory bar."""
    footprint = sized.footprint
    parts = {
        "weights": _weights(sized),
        "kv_cache": _cache(sized),
        "activations": _ACTIVATIONS[sized.engine](sized),
        "cuda_graphs": _graphs(sized),
        "runtime": _runtime(sized),
    }
    return [
        Term(name, gib(getattr(footprint, name)), *part)
        for name, part in parts.items()
        if getattr(footprint, name) or name in ("weights", "kv_cache")
    ]


_Part = tuple[str, tuple[tuple[str, str], ...], str | None]


def _weights(sized: Sized) -> _Part:
    architecture, layout = sized.architecture, sized.layout
    inputs = (("parameters", f"{architecture.parameters / 1e9:.2f} billion"), ("bits", f"{sized.bits:g}"), *_split(layout))
    if sized.gguf:
        where = "all tensors in RAM" if sized.cpu else "the layers of the fullest GPU; input embeddings stay in host memory"
        return f"Σ tensors × bits of their ggml type, {where}", inputs, "lcpp-quant-src"
    if architecture.tensor_bytes:
        return "bytes of the file's header, shared out as the tensors are split", inputs, "pytorch-caching-allocator"
    formula = "Σ tensors as stored (embeddings, norms and routers in 16 bits, scales and zero points) / split, in allocator segments"
    return formula, inputs, "pytorch-caching-allocator"


def _cache(sized: Sized) -> _Part:
    load, engine, tokens = sized.load, sized.engine, f"{sized.tokens:,}"
    if engine in ("llama.cpp", "ollama"):
        cells = (
            ("context of a slot", f"{load.max_model_len:,}"),
            ("slots", str(load.max_num_seqs)),
            ("bytes per token", f"{sized.bytes_per_token:,}"),
        )
        return "cells of all slots × bytes per token (windows for sliding layers, a state per slot)", cells, "llama-cpp-measured"
    formula, source = {
        "vllm": ("⌈capacity · fraction⌉ - weights - activations - run-time - graphs where the version counts them", "vllm-profile-0-33"),
        "sglang": ("(capacity - run-time) · fraction - weights", "sglang-kv-cache-configurator"),
        "tensorrt-llm": ("fraction · (capacity - weights - activations - run-time)", "tensorrt-llm-waterfall"),
        "tgi": ("0.95 · (capacity · fraction - weights - activations - run-time)", "tgi-flash-causal-lm"),
    }[engine]
    if engine == "vllm" and sized.cpu:
        formula, source = "⌈capacity · fraction⌉ - weights - activations - run-time", "vllm-cpu-worker"
    if engine == "tgi":
        formula = formula.replace("0.95", f"{sized.numbers('tgi.wiggle_room'):g}")
    inputs = (
        ("capacity", f"{gib(sized.footprint.capacity):.2f} GiB"), ("fraction", f"{sized.fraction or 0:g}"),
        ("bytes per token", f"{sized.bytes_per_token:,}"), ("tokens held", tokens),
    )  # fmt: skip
    return formula, inputs, source


def _shape(sized: Sized, *names: str) -> tuple[tuple[str, str], ...]:
    architecture, load = sized.architecture, sized.load
    known = {
        "T": ("T tokens a step", f"{load.batched_tokens:,}"),
        "S": ("S sequences", f"{min(load.max_num_seqs, load.batched_tokens):,}"),
        "V": ("V vocabulary", f"{architecture.vocab_size:,}"),
        "h": ("h hidden size", f"{architecture.hidden_size:,}"),
        "I": ("I feed-forward width", f"{architecture.intermediate_size or architecture.moe_intermediate_size:,}"),
        "L": ("layers", str(architecture.layers)),
    }
    return tuple(known[name] for name in names)


def _values(sized: Sized, **names: str) -> tuple[tuple[str, str], ...]:
    return tuple((shown.replace("_", " "), f"{sized.numbers(name):g}") for shown, name in names.items())


def _split(layout: Layout) -> tuple[tuple[str, str], ...]:
    return tuple(
        (name, str(value))
        for name, value in (("tensor parallel", layout.tensor_parallel), ("pipeline stages", layout.pipeline_parallel))
        if value > 1
    )


def _experts(sized: Sized, formula: str) -> str:
    return f"{formula} + workspace of the experts" if sized.architecture.experts else formula


def _vllm(sized: Sized) -> _Part:
    if sized.cpu:
        m = "vllm.forward_mlp_copies"
        inputs = _values(sized, m=m, n="vllm.forward_hidden_copies")
        return _experts(sized, "2·T·(m·I/tp + n·h)"), (*inputs, *_shape(sized, "T", "h", "I")), sized.sources(m)
    c = "vllm.sampler_bytes"
    formula = _experts(sized, "max(c·S·V + scratch + 2·T·h + base, 2·T·(m·I/tp + n·h))")
    inputs = _values(sized, c=c, m="vllm.forward_mlp_copies", n="vllm.forward_hidden_copies", base="vllm.activation_base_gib")
    return formula, (*inputs, *_shape(sized, "S", "V", "T", "h", "I")), sized.sources(c)


def _sglang(sized: Sized) -> _Part:
    m = "sglang.forward_mlp_copies"
    formula = _experts(sized, "max(2·T·(m·I/tp + n·h), c·S·V) + attention workspace")
    inputs = _values(sized, m=m, n="sglang.forward_hidden_copies", c="sglang.sampler_bytes", workspace="sglang.attention_workspace_gib")
    return formula, (*inputs, *_shape(sized, "S", "V", "T", "h", "I")), sized.sources(m)


def _tensorrt(sized: Sized) -> _Part:
    m = "tensorrt_llm.forward_mlp_copies"
    inputs = _values(sized, m=m, n="tensorrt_llm.forward_hidden_copies")
    return _experts(sized, "2·T·(m·I/tp + n·h)"), (*inputs, *_shape(sized, "T", "h", "I")), sized.sources(m)


def _tgi(sized: Sized) -> _Part:
    c = "tgi.prefill_logits_bytes"
    inputs = _values(sized, c=c, m="tgi.forward_mlp_copies", n="tgi.forward_hidden_copies")
    return _experts(sized, "max(c·T·V + 2·T·h, 2·T·(m·I/tp + n·h))"), (*inputs, *_shape(sized, "T", "V", "h", "I")), sized.sources(c)


def _llama_cpp(sized: Sized) -> _Part:
    full = sized.numbers(("ollama" if sized.engine == "ollama" else "llama_cpp") + ".full_logits")
    logits = "4·T·(V + k·h)" if full else "4·S·V"
    formula = f"max({logits}, 4·T·width of the widest layer + 2·T·cells), f16 mask"
    name = ("ollama" if sized.engine == "ollama" else "llama_cpp") + ".full_logits"
    return formula, _shape(sized, "T", "S", "V", "h", "I"), sized.sources(name)


_ACTIVATIONS: dict[str, Callable[[Sized], _Part]] = {
    "vllm": _vllm, "sglang": _sglang, "tensorrt-llm": _tensorrt, "tgi": _tgi, "llama.cpp": _llama_cpp, "ollama": _llama_cpp,
}  # fmt: skip


def _graphs(sized: Sized) -> _Part:
    if sized.engine == "vllm":
        base = "vllm.graph_base_gib"
        inputs = _values(sized, base=base, MiB_a_layer="vllm.graph_layer_mib")
        return "base + layers · share per layer", (*inputs, *_shape(sized, "L")), sized.sources(base)
    if sized.engine == "sglang":
        base = "sglang.graph_base_gib"
        inputs = _values(sized, base=base, MiB_a_sequence="sglang.graph_sequence_mib")
        return "base + sequences captured · share per sequence", (*inputs, *_shape(sized, "S")), sized.sources(base)
    if sized.engine == "tensorrt-llm":
        base = "tensorrt_llm.graph_base_gib"
        return "base + 4·S·V", (*_values(sized, base=base), *_shape(sized, "S", "V")), sized.sources(base)
    return "constant", (), sized.sources("tgi.graph_gib")


def _runtime(sized: Sized) -> _Part:
    several = sized.layout.gpus > 1
    match sized.engine:
        case "vllm" if sized.cpu:
            name = "vllm.cpu_process_gib"
            return "the process itself", _values(sized, constant=name), sized.sources(name)
        case "vllm":
            name = (
                "vllm.non_torch_gib"
                if not several
                else "vllm.non_torch_tp_gib"
                if sized.layout.tensor_parallel > 1
                else "vllm.non_torch_pp_gib"
            )
            inputs = _values(sized, outside_torch=name, state_bytes="vllm.sampler_state_bytes")
            return "outside torch + sampler state · S·V", (*inputs, *_shape(sized, "S", "V")), sized.sources(name)
        case "sglang":
            name = "sglang.context_gib"
            formula, kept = "context + communicators + multimodal reserve", "sglang.stale_scale_bytes"
            if sized.numbers(kept) and sized.architecture.experts:
                formula += " + scales of MXFP4 experts that stay after their repack"
            return formula, _values(sized, context=name, NCCL="sglang.nccl_gib"), sized.sources(name)
        case "tensorrt-llm":
            name = "tensorrt_llm.outside_torch_gib"
            return "outside torch + communicators", _values(sized, outside_torch=name, NCCL="tensorrt_llm.nccl_gib"), sized.sources(name)
        case "tgi":
            return (
                "context + communicators",
                _values(sized, context="tgi.context_gib", NCCL="tgi.nccl_gib"),
                sized.sources("tgi.context_gib"),
            )
        case _:
            name = "llama_cpp.host_gib" if sized.cpu else "llama_cpp.context_mib"
            return ("the process itself" if sized.cpu else "CUDA context and kernels"), _values(sized, constant=name), sized.sources(name)

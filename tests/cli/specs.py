"""Random specs for hypothesis: mostly sensible, partly odd, sometimes hostile."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

MODELS = [
    "Qwen/Qwen2.5-7B-Instruct", "Qwen/Qwen2.5-0.5B-Instruct", "meta-llama/Llama-3.1-70B-Instruct", "mistralai/Mixtral-8x7B-Instruct-v0.1",
    "deepseek-ai/DeepSeek-V3", "openai/gpt-oss-20b", "google/gemma-3-27b-it", "microsoft/phi-2", "nobody/nothing",
]  # fmt: skip
GPUS = ["A100-80GB", "H100-80GB", "H200-141GB", "T4-16GB", "L4-24GB", "V100-32GB", "RTX4090-24GB", "MI300X-192GB", "M3-Max-128GB", "cpu", "a100 80gb", "A100"]
ENGINES = ["vllm", "sglang", "tgi", "tensorrt-llm", "llama.cpp", "ollama"]
METHODS = ["bf16", "fp16", "fp8", "fp8-block", "int8", "awq", "gptq", "nvfp4", "mxfp4", "gguf-q8_0", "gguf-q4_k_m", "gguf-iq2_xxs"]
KV = ["auto", "fp8", "fp8_e5m2", "q8_0", "q4_0", "f16", "nvfp4"]

HOSTILE = [
    "", " ", "-", "--help", "-rm", "/", "..", "../../etc/passwd", "a b", "it's", 'say "hi"', "$(touch x)", "`id`", "${HOME}", "$$", "a;b", "a|b", "a&b",
    "a\nb", "a\rb", "a\tb", "\x00", "\x1b[31m", "\u202eevil", "\u2066x\u2069", "ключ", "模型", "🦙", "é", "e\u0301", "{{ x }}", "{% x %}", "%s", "%(x)s", "{0}",
    "null", "true", "yes", "~", "1e5", "0x10", "NaN", ".inf", "1_000", "12:30:45", "2026-11-24", "<<", "*a", "&a", "!!python/object:x", "# c", "a: b",
    "x" * 600, "\\", "\\n", "'", '"', "''", "\ufeffx", "\u00a0",
]  # fmt: skip
hostile = st.one_of(st.sampled_from(HOSTILE), st.text(st.characters(exclude_categories=["Cs"]), max_size=12))

NUMBERS = [0, 1, -1, -4, 2, 3, 7, 0.5, 1.0, 2.0, 2.5, 1e-300, 1e300, 10**18, 10**60, -0.0, True, False, "4", "yes", None, [], {}]
odd = st.one_of(st.sampled_from(NUMBERS), hostile, st.integers(), st.floats(allow_nan=False, allow_infinity=False))


def sensible(*values: Any) -> st.SearchStrategy[Any]:
    return st.sampled_from(values)


def part(fields: dict[str, st.SearchStrategy[Any]], most: int, oddity: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Some of the fields, now and then with an odd value or an odd key."""

    @st.composite
    def build(draw: st.DrawFn) -> dict[str, Any]:
        keys = draw(st.lists(st.sampled_from(sorted(fields)), max_size=most, unique=True))
        made = {key: draw(fields[key]) for key in keys}
        if draw(oddity):
            made[draw(st.one_of(st.sampled_from(sorted(fields)), hostile))] = draw(odd)
        return made

    return build()


FIELDS: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "hardware": {
        "gpus_per_node": sensible(1, 1, 2, 3, 4, 6, 8, 8.0, "auto"), "nodes": sensible(1, 1, 1, 2, 4), "memory_gib": sensible(4, 15.5, 79.25, 1e-6, 1000),
        "interconnect": sensible("nvlink", "pcie"), "host_memory_gib": sensible(8, 256), "host_bandwidth_gb_per_s": sensible(80, 1e-6),
        "mig": sensible("1g.10gb", "3g.40gb", "1g.18gb", "9g.9gb"), "devices": sensible([0], [2, 3], [7, 0, 5], [255]), "share_gib": sensible(12, 0.5, 1e5),
        "gpus": sensible(
            [{"gpu": "RTX4090-24GB"}, {"gpu": "T4-16GB", "count": 2}], [{"gpu": "L4-24GB", "count": 2.0}], [{"gpu": "cpu"}], [{}],
            [{"gpu": "MI300X-192GB"}, {"gpu": "T4-16GB"}],
        ),
    },
    "workload": {
        "profile": sensible("chat", "batch", "rag", "agent", "code", "dev"), "concurrency": sensible(1, 8, 32, 32.0, 512, "max", 1000000),
        "input_tokens": sensible(1, 100, 1500, 1e5), "output_tokens": sensible(1, 400, 8000), "max_context": sensible(2, 512, 8192, 131072, 100000000),
        "goal": sensible("balanced", "quality", "throughput", "latency", "cost"), "ttft_ms": sensible(1, 1000.5), "tpot_ms": sensible(1e-9, 50),
        "max_quality_loss_percent": sensible(0, 1, 2.5, 100),
    },
    "pin": {
        "engine": sensible(*ENGINES), "engine_version": sensible("0.33.0", "b11312", "0.1", "99.9.9", "x", "1.2.1rc1"), "quantization": sensible(*METHODS),
        "kv_cache_dtype": sensible(*KV), "tensor_parallel": sensible(1, 2, 3, 4, 8, 16), "pipeline_parallel": sensible(1, 2, 4, 100),
        "max_model_len": sensible(2, 1000, 16384, 10**8), "max_num_seqs": sensible(1, 3, 256, 10**6), "max_num_batched_tokens": sensible(1, 512, 8192, 10**8),
        "gpu_memory_utilization": sensible(0.01, 0.5, 0.9, 1, 1e-9), "enforce_eager": sensible(True, False),
    },
    "quantize": {
        "tool": sensible("llm-compressor", "gptqmodel", "modelopt", "llama.cpp", "ollama"), "keep": sensible(["attention"], ["mlp", "linear_attention"], []),
        "first_layers": sensible(0, 1, 1000), "last_layers": sensible(0, 2, 1000), "keep_type": sensible("q8_0", "f16"),
        "tensor_types": st.dictionaries(sensible("attn_v", "ffn_down", "output", "x"), sensible("q8_0", "iq2_xs", "nope"), max_size=2),
        "group_size": sensible(32, 64, 128), "desc_act": st.booleans(), "teacher": st.one_of(st.sampled_from(MODELS), hostile),
        "calibration": st.fixed_dictionaries({}, optional={"file": hostile, "dataset": hostile, "samples": sensible(1, 512), "tokens": sensible(16, 2048)}),
    },
    "deploy": {
        "targets": sensible(["script"], ["compose"], ["script", "compose"]), "served_name": hostile,
        "host": sensible("127.0.0.1", "0.0.0.0", "::", "::1", "x.y"),
        "port": sensible(1, 8000, 65535), "image": sensible("registry.example/x:1", "a@sha256:" + "0" * 64),
        "env": st.dictionaries(sensible("A", "HF_TOKEN"), hostile, max_size=2),
        "cache_dir": hostile, "api_key_from": sensible("KEY", "HOME"), "trust_remote_code": sensible(True, False), "namespace": sensible("ns"),
        "replicas": sensible(1, 2, 1000),
        "extra_args": st.dictionaries(
            sensible("vllm", "llama.cpp", "ollama"), st.dictionaries(sensible("seed", "enable-lora", "port", "x"), odd, max_size=2), max_size=1,
        ),
    },
}  # fmt: skip


@st.composite
def specs(draw: st.DrawFn, oddities: float = 0.15) -> dict[str, Any]:
    """A spec as data. `oddities` is about the share of parts that hold something odd."""
    oddity = st.sampled_from([True] * round(100 * oddities) + [False] * round(100 - 100 * oddities))
    model: Any = draw(st.sampled_from(MODELS))
    if draw(st.booleans()) and draw(st.booleans()):
        model = {"id": draw(st.one_of(st.sampled_from(MODELS), hostile))}
        model |= draw(part({
            "revision": sensible("abc123", "main"), "parameters": sensible(1e6, 7.6e9, 1e14), "config": st.one_of(sensible("config.json", "."), hostile),
            "gguf": st.one_of(sensible("m.gguf", "."), hostile), "safetensors": hostile,
            "checkpoints": st.dictionaries(st.one_of(sensible(*METHODS), hostile), hostile, max_size=2),
        }, 2, oddity))  # fmt: skip
    gpu: Any = draw(st.sampled_from(GPUS))
    if draw(st.booleans()) and draw(st.booleans()):
        gpu = {"memory_gib": draw(sensible(8, 24, 80, 1e-9, 1e5))}
        gpu |= draw(part({
            "name": hostile, "vendor": sensible("nvidia", "amd", "intel", "apple", "cpu"), "compute_capability": sensible(8.9, "9.0", 7, "nan", "inf", "x"),
            "architecture": sensible("hopper_90", "ampere_80", "apple_metal", "nothing"), "bandwidth_gb_per_s": sensible(1, 3350),
            "unified_memory": st.booleans(),
            "interconnect": sensible("nvlink", "none"),
        }, 4, oddity))  # fmt: skip
    spec: dict[str, Any] = {"model": model, "hardware": {"gpu": gpu, **draw(part(FIELDS["hardware"], 3, oddity))}}
    for name in ("workload", "pin", "quantize", "deploy"):
        if draw(st.booleans()):
            spec[name] = draw(part(FIELDS[name], 4, oddity))
    if draw(oddity):
        spec[draw(st.one_of(sensible("name", "version", "model", "hardware", "pin"), hostile))] = draw(odd)
    return spec

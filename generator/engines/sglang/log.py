"""SGLang's start-up logs. It prints GB and means GiB; activations are never measured there. Floor 4, pure. Imported by `calibrate` only."""

from __future__ import annotations

import re
from collections.abc import Sequence

from generator.engines.start_log import OFTEN, SELDOM, Line, Logged, LogParser, number_of

_N = r"(-?[\d.,]+)"
_FIGURES = (
    ("weights", Logged.most, re.compile(r"Load weight end\..{0,400}?, mem usage=" + _N + r" GB")),
    ("full", Logged.least, re.compile(r"SWAKVPool mem usage: .{1,40}? full size: (\d{1,12})")),
    ("kv_tokens", Logged.least, re.compile(r"max_total_num_tokens=(\d{1,12})")),
    ("windows", Logged.most, re.compile(r"SWAKVPool mem usage: " + _N + r" GB")),
    ("conv", Logged.most, re.compile(r"conv_state size: " + _N + r"\s*GB, ssm_state")),
    ("ssm", Logged.most, re.compile(r"ssm_state size: " + _N + r"\s*GB")),
    ("drafted", Logged.most, re.compile(r"intermediate_ssm_state_cache size: " + _N + r"\s*GB")),
    ("cuda_graphs", Logged.most, re.compile(r"Capture.{0,60}?(?:cuda|CUDA) graph end\..{0,120}?mem usage=(?!-|0\.00)" + _N + r" GB")),
)
_KV = re.compile(r"KV Cache is allocated\. (?:dtype: (\S{1,40}), )?#tokens: ([\d,]*\d)(?:, KV? size: " + _N + r" GB)?(?:, V size: " + _N + r" GB)?")
_VERSION = re.compile(r"sglang(?:==| version[:=]? ?|/)v?(\d+(?:\.\d+){1,3}\w*)", re.IGNORECASE)
_ARGUMENTS = {
    "gpu_memory_utilization": re.compile(r"\bmem_fraction_static=(0\.\d+)"),
    "tensor_parallel": re.compile(r"\btp_size=(\d{1,4})\b"),
    "pipeline_parallel": re.compile(r"\bpp_size=(\d{1,4})\b"),
    "max_num_batched_tokens": re.compile(r"\bchunked_prefill_size=(\d{1,9})\b"),
    "max_num_seqs": re.compile(r"\bmax_running_requests=(\d{1,9})\b"),
    "max_model_len": re.compile(r"\bcontext_len(?:gth)?=(\d{1,9})\b"),
}
_KV_DTYPE = re.compile(r"\bkv_cache_dtype='([\w]{1,20})'")

_WORDS = {
    **dict.fromkeys(("Load weight ", "KV Cache is allocated", "SWAKVPool", "conv_state size", "graph end.", "args", "Args(", "max_total_num_tokens="), OFTEN),
    **dict.fromkeys(("sglang", "SGLang"), SELDOM),
}


def parse(lines: Sequence[Line]) -> Logged:
    """An SGLang log: ranks with the most weights and the fewest tokens count, as in its own arithmetic."""
    logged = Logged("sglang")
    for number, line in lines:
        logged.seen(line, _VERSION)
        if any(word in line for word in ("ServerArgs(", "server_args=", "max_total_num_tokens=")):
            logged.take(line, _ARGUMENTS)
            if (found := _KV_DTYPE.search(line)) and found[1] in ("fp8_e4m3", "fp8_e5m2", "auto"):
                logged.settings["kv_cache_dtype"] = {"fp8_e4m3": "fp8"}.get(found[1], found[1])
        logged.read(Line(number, line), _FIGURES)
        if found := _KV.search(line):
            if found[3]:
                logged.most("kv_cache", number_of(found[3]) + number_of(found[4] or "0"), number)
            logged.least("kv_tokens", number_of(found[2]), number)
            if found[1] == "torch.float8_e4m3fn":
                logged.settings.setdefault("kv_cache_dtype", "fp8")
    figures = logged.figures
    for term, sum_ in (("kv_cache", "windows"), ("kv_tokens", "full")):  # two pools, and one line with their sum
        figures.update({term: figures.pop(sum_)} if sum_ in figures else {})
    states = sum(figure.value for term in ("conv", "ssm", "drafted") if (figure := figures.pop(term, None)))
    if states and (cache := figures.get("kv_cache")):
        figures["kv_cache"] = cache._replace(value=cache.value + states)
    elif states:
        logged.notes.append(f"recurrent states take {states:.2f} GiB; the excerpt lacks the KV cache beside them")
    return logged


PARSER = LogParser(_WORDS, (re.compile(r"ServerArgs\("), _KV, *(pattern for _, _, pattern in _FIGURES)), parse)

"""SGLang's start-up logs. It prints GB and means GiB; activations are never measured there.

Floor 4, pure. Imported by `calibrate` only.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from generator.engines.start_log import OFTEN, SELDOM, Line, Logged, number_of

_N = r"(-?[\d.,]+)"
_BEGIN = re.compile(r"Load weight begin\. avail mem=" + _N + r" GB")
_END = re.compile(r"Load weight end\..{0,400}?avail mem=" + _N + r" GB, mem usage=" + _N + r" GB")
_KV = re.compile(
    r"KV Cache is allocated\. (?:dtype: (\S{1,40}), )?#tokens: ([\d,]*\d)(?:, KV? size: " + _N + r" GB)?(?:, V size: " + _N + r" GB)?"
)
_WINDOWED = re.compile(r"SWAKVPool mem usage: " + _N + r" GB, swa size: \d{1,12}, full size: (\d{1,12})")
_STATES = re.compile(r"conv_state size: " + _N + r"\s*GB, ssm_state size: " + _N + r"\s*GB")
_MORE_STATES = re.compile(r"intermediate_\w{1,30} size: " + _N + r"\s*GB")
_GRAPH = re.compile(r"Capture.{0,60}?(?:cuda|CUDA) graph end\..{0,120}?mem usage=" + _N + r" GB")
_TOTAL = re.compile(
    r"max_total_num_tokens=(\d{1,12}), chunked_prefill_size=(-?\d{1,9}).{0,120}?max_running_requests=(\d{1,9}), context_len=(\d{1,9})"
)
_VERSION = re.compile(r"sglang(?:==| version[:=]? ?|/)v?(\d+(?:\.\d+){1,3}\w*)", re.IGNORECASE)
_ARGUMENTS = {
    "gpu_memory_utilization": re.compile(r"\bmem_fraction_static=(0\.\d+)"),
    "tensor_parallel": re.compile(r"\btp_size=(\d{1,4})\b"),
    "pipeline_parallel": re.compile(r"\bpp_size=(\d{1,4})\b"),
    "max_num_batched_tokens": re.compile(r"\bchunked_prefill_size=(\d{1,9})\b"),
    "max_num_seqs": re.compile(r"\bmax_running_requests=(\d{1,9})\b"),
    "max_model_len": re.compile(r"\bcontext_length=(\d{1,9})\b"),
}
_KV_DTYPE = re.compile(r"\bkv_cache_dtype='([\w]{1,20})'")

WORDS: Mapping[str, int] = {
    **dict.fromkeys(("Load weight ", "KV Cache is allocated", "SWAKVPool", "conv_state size", "graph end.", "args", "Args(", "max_total_num_tokens="), OFTEN),
    **dict.fromkeys(("sglang", "SGLang"), SELDOM),
}


def mentions(lines: Sequence[Line]) -> int:
    """How many lines only SGLang writes."""
    own = (_END, _KV, _WINDOWED, _STATES, _TOTAL)
    return sum(1 for _, line in lines if "ServerArgs(" in line or any(pattern.search(line) for pattern in own))


def parse(lines: Sequence[Line]) -> Logged:
    """An SGLang log: ranks with the most weights and the fewest tokens count, as in its own arithmetic."""
    logged = Logged("sglang")
    windowed, cache = False, list[tuple[float, float, int]]()
    for number, line in lines:
        if logged.version is None and (found := _VERSION.search(line)):
            logged.version = found[1]
        if "ServerArgs(" in line or "server_args=" in line:
            _arguments(line, logged)
        if found := _BEGIN.search(line):
            logged.least("free_before", number_of(found[1]), number)
        if found := _END.search(line):
            logged.most("weights", number_of(found[2]), number)
            logged.least("free_after", number_of(found[1]), number)
        if found := _KV.search(line):
            if found[3]:
                cache.append((number_of(found[3]) + number_of(found[4] or "0"), number_of(found[2]), number))
            else:
                logged.least("kv_tokens", number_of(found[2]), number)
            if found[1] == "torch.float8_e4m3fn":
                logged.settings.setdefault("kv_cache_dtype", "fp8")
        if found := _WINDOWED.search(line):
            windowed = True
            logged.most("kv_cache", number_of(found[1]), number)
            logged.least("kv_tokens", number_of(found[2]), number)
        if found := _STATES.search(line):
            more = sum(number_of(size[1]) for size in _MORE_STATES.finditer(line))
            logged.most("states", number_of(found[1]) + number_of(found[2]) + more, number)
        if (found := _GRAPH.search(line)) and number_of(found[1]) > 0:
            logged.most("cuda_graphs", number_of(found[1]), number)
        if found := _TOTAL.search(line):
            logged.least("kv_tokens", float(found[1]), number)
            if int(found[2]) > 0:
                logged.settings.setdefault("max_num_batched_tokens", int(found[2]))
            logged.settings["max_num_seqs"] = int(found[3])
            logged.settings["max_model_len"] = int(found[4])
    if not windowed:  # the two pools of a model with windows are in one line's sum
        for size, tokens, number in cache:
            logged.most("kv_cache", size, number)
            logged.least("kv_tokens", tokens, number)
    if states := logged.figures.pop("states", None):
        if kv := logged.figures.get("kv_cache"):
            logged.figures["kv_cache"] = kv._replace(value=kv.value + states.value)
        else:
            logged.notes.append(f"recurrent states take {states.value:.2f} GiB; the excerpt lacks the KV cache beside them")
    return logged


def _arguments(line: str, logged: Logged) -> None:
    for name, pattern in _ARGUMENTS.items():
        found = pattern.search(line)
        if found:
            value = number_of(found[1])
            logged.settings[name] = value if name == "gpu_memory_utilization" else int(value)
    if (found := _KV_DTYPE.search(line)) and found[1] in ("fp8_e4m3", "fp8_e5m2", "auto"):
        logged.settings["kv_cache_dtype"] = {"fp8_e4m3": "fp8"}.get(found[1], found[1])

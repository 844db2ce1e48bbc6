"""Start-up logs of llama.cpp (`--log-verbosity 4`) and of Ollama, whose runner prints llama.cpp's lines or its own.

Floor 4, pure. Imported by `calibrate` only.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from generator.engines.start_log import OFTEN, SELDOM, Figure, Line, Logged, gib_of, number_of

_BUFFER = re.compile(r"\b(\w[\w.]{0,40}):\s+(\S{1,40})\s+(?:(model|KV|compute|RS)\s+)?buffer size\s*=\s*([\d.]+)\s*MiB")
_WINDOWED = re.compile(r"creating\s+(non-)?SWA KV cache")
_CONTEXT = re.compile(r"llama_context: (n_ctx|n_seq_max|n_ubatch|kv_unified)\s*=\s*(\S{1,16})")
_CELLS = re.compile(r"\(\s*(\d{1,12}) cells,\s*\d+ layers,\s*[\d./ ]+seqs\)")
_BUILD = re.compile(r"(?:\bbuild:\s*|\bbuild_info:\s*b|\bbuild\s*=\s*|\bversion:\s*)(\d{3,6})\b")
_BREAKDOWN = re.compile(
    r"memory_breakdown_print:\s*\|\s*-\s*(\w+)[^|]{0,120}\|\s*(\d+) =\s*(\d+) \+ \((\d+) =\s*(\d+) \+\s*(\d+) \+\s*(\d+)\) \+\s*(\d+)"
)
_OLLAMA = re.compile(r'msg="(model weights|kv cache|compute graph)"\s+device=(\S{1,40})\s+size="([\d.]+) (\w+)"')
_OLLAMA_VERSION = re.compile(r"\(version (\d+(?:\.\d+){1,3})\)")
_OLLAMA_SLOTS = re.compile(r"\bParallel:(\d{1,6})\b")
_OLLAMA_CONTEXT = re.compile(r"\bKvSize:(\d{1,9})\b")
_OFFLOADED = re.compile(r"offloaded (\d{1,5})/(\d{1,5}) layers to GPU")

_TERMS = {
    "model": "weights", "KV": "kv_cache", "RS": "kv_cache", "compute": "activations",
    "model weights": "weights", "kv cache": "kv_cache", "compute graph": "activations",
}  # fmt: skip
"""What the engines call the plan's terms."""

_OLLAMA_SAYS = ("source=device.go", "source=sched.go", "ollama runner", "source=routes.go")
_HOST = ("CPU", "CUDA_Host", "ROCm_Host", "Vulkan_Host", "Host")

WORDS: Mapping[str, int] = {
    **dict.fromkeys(("buffer size", "SWA KV cache", "llama_context: ", " cells,", "memory", "layers to GPU", " device=", "Parallel:"), OFTEN),
    **dict.fromkeys(("build", "version", "ollama runner"), SELDOM),
}


def mentions(lines: Sequence[Line]) -> int:
    """How many lines only llama.cpp or Ollama write."""
    return sum(1 for _, line in lines if _BUFFER.search(line) or _OLLAMA.search(line) or _CONTEXT.search(line))


def parse(lines: Sequence[Line]) -> Logged:
    """A log of either; the device with the most memory counts, its last figures (a fit tries several)."""
    ollama = any(word in line for _, line in lines for word in _OLLAMA_SAYS)
    logged = Logged("ollama" if ollama else "llama.cpp")
    sizes: dict[str, dict[tuple[str, str], tuple[float, int]]] = {}
    cache = ""
    for number, line in lines:
        if found := _WINDOWED.search(line):
            cache = "full" if found[1] else "sliding"
        if (found := _BUFFER.search(line)) and (found[3] or "load_tensors" in found[1]):
            what = found[3] or "model"
            cache = "" if what == "model" else cache
            kind = f"{found[1]}/{what}/{cache if what == 'KV' else ''}"
            sizes.setdefault(found[2], {})[_TERMS[what], kind] = (gib_of(found[4], "MiB"), number)
        elif found := _OLLAMA.search(line):
            sizes.setdefault(found[2], {})[_TERMS[found[1]], "ollama"] = (gib_of(found[3], found[4]), number)
        elif found := _CONTEXT.search(line):
            _setting(found[1], found[2], logged)
        elif found := _BREAKDOWN.search(line):
            if int(found[8]) > 0:
                logged.most("runtime", gib_of(found[8], "MiB"), number)
            logged.most("capacity", gib_of(found[2], "MiB"), number)
        if ollama:
            if found := _OLLAMA_VERSION.search(line):
                logged.version = found[1]
            if found := _OLLAMA_SLOTS.search(line):
                logged.settings["max_num_seqs"] = int(found[1])
            if found := _OLLAMA_CONTEXT.search(line):
                logged.settings["cells"] = int(found[1])
        elif logged.version is None and (found := _BUILD.search(line)):
            logged.version = f"b{found[1]}"
        if (found := _OFFLOADED.search(line)) and int(found[1]) < int(found[2]):
            logged.notes.append(f"only {found[1]} of {found[2]} layers are on the GPU")
        if found := _CELLS.search(line):
            logged.settings.setdefault("cells", int(found[1]))
    for terms in sizes.values():  # what Ollama expected before it loaded gives way to what its runner allocated
        for term in {term for term, kind in terms if kind != "ollama"}:
            terms.pop((term, "ollama"), None)
    _fullest(sizes, logged)
    slots, cells = logged.settings.get("max_num_seqs", 1), logged.settings.pop("cells", None)
    cells = logged.settings.pop("n_ctx", cells)
    if cells:
        logged.settings["max_model_len"] = max(1, cells // max(1, slots))
    return logged


def _setting(name: str, value: str, logged: Logged) -> None:
    ours = {"n_seq_max": "max_num_seqs", "n_ubatch": "max_num_batched_tokens", "n_ctx": "n_ctx"}.get(name)
    if ours and value.isdigit():
        logged.settings[ours] = int(number_of(value))


def _fullest(sizes: dict[str, dict[tuple[str, str], tuple[float, int]]], logged: Logged) -> None:
    """The terms of the GPU with the most memory; without one, of the host in all."""
    devices = {name: terms for name, terms in sizes.items() if not name.startswith(_HOST)}
    if devices:
        name = max(devices, key=lambda device: sum(size for size, _ in devices[device].values()))
        chosen = [devices[name]]
        logged.settings["device"] = name
    else:
        chosen = list(sizes.values())
        logged.settings["device"] = "CPU"
    for terms in chosen:
        for (term, _), (size, line) in terms.items():
            known = logged.figures.get(term)
            logged.figures[term] = known._replace(value=known.value + size) if known else Figure(size, line)
